"""What a call brings to prove who sends it. Nothing of it is kept, told or logged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from lstmserve_server.auth.tokens import TOKEN
from lstmserve_server.rpc.call import Metadata

AUTHORIZATION_KEY = "authorization"
BEARER = re.compile(rf"[Bb][Ee][Aa][Rr][Ee][Rr] +(?P<token>{TOKEN.pattern})")  # RFC 6750, 9110
ALTERNATIVE_NAMES, COMMON_NAME = "x509_subject_alternative_name", "x509_common_name"

AuthContext = Mapping[str, Iterable[bytes]]


def read_authorizations(metadata: Metadata) -> list[str | bytes]:
    """All that a call says of the kind; more than one is one too many."""
    return [value for key, value in metadata if key == AUTHORIZATION_KEY]


def parse_bearer(value: str | bytes) -> str | None:
    """The token, if that is what it is and if it can be one of ours."""
    found = BEARER.fullmatch(value) if isinstance(value, str) else None
    return None if found is None else found["token"]


def read_certificate_names(context: AuthContext) -> list[str]:
    """The names in the certificate that the connection's other end has proved to be its own.

    The common name counts only where there is no other (RFC 9525): authorities check it less.
    """
    for key in (ALTERNATIVE_NAMES, COMMON_NAME):
        names = [value.decode(errors="replace") for value in context.get(key, ())]
        if names:
            return names
    return []
