"""Lets calls in, or not: who calls, whether it may, and whether it has not had enough."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import grpc

from lstmserve_server.auth.limits import Limits
from lstmserve_server.auth.live_register import LiveRegister
from lstmserve_server.auth.principal import AuthObserver, Failure, Principal
from lstmserve_server.auth.tokens import TOKEN
from lstmserve_server.errors import UnauthenticatedError
from lstmserve_server.rpc.call import Call, Metadata, read_caller
from lstmserve_server.rpc.identity import Identity
from lstmserve_server.rpc.permissions import check_permission, is_permitted

AUTHORIZATION_KEY = "authorization"
BEARER = re.compile(rf"[Bb][Ee][Aa][Rr][Ee][Rr] +(?P<token>{TOKEN.pattern})")  # RFC 6750, 9110
ALTERNATIVE_NAMES, COMMON_NAME = "x509_subject_alternative_name", "x509_common_name"

AuthContext = Mapping[str, Iterable[bytes]]
Context = grpc.aio.ServicerContext[Any, Any]


def read_authorizations(metadata: Metadata) -> list[str | bytes]:
    """Return all that a call says of the kind; more than one is one too many."""
    return [value for key, value in metadata if key == AUTHORIZATION_KEY]


def parse_bearer(value: str | bytes) -> str | None:
    """Return the token, if that is what it is and if it can be one of ours."""
    found = BEARER.fullmatch(value) if isinstance(value, str) else None
    return None if found is None else found["token"]


def read_certificate_names(context: AuthContext) -> list[str]:
    """Return the names in the certificate that the other end has proved to be its own.

    The common name counts only where there is no other (RFC 9525): authorities check it less.
    """
    for key in (ALTERNATIVE_NAMES, COMMON_NAME):
        names = [value.decode(errors="replace") for value in context.get(key, ())]
        if names:
            return names
    return []


class Door(Protocol):
    """What every call passes before anything of its request is read."""

    def admit(self, call: Call, context: Context) -> AbstractContextManager[None]:
        """Run a call within the block, with its identity set; raises when it may not."""

    def is_open_to(self, call: Call, context: Context) -> bool:
        """Return whether calls like this one are let in when there is room; takes nothing."""


class OpenDoor:
    """Everybody comes in, under whatever name it gives."""

    @contextmanager
    def admit(self, call: Call, context: Context) -> Iterator[None]:
        call.identity = Identity(read_caller(context.invocation_metadata() or ()))
        yield

    def is_open_to(self, call: Call, context: Context) -> bool:  # noqa: ARG002 - a Door's
        return True


class GuardedDoor:
    """Principals come in, for what they may do and as often as they may."""

    def __init__(self, register: LiveRegister, limits: Limits, observer: AuthObserver) -> None:
        self._register = register
        self._limits = limits
        self._observer = observer

    @contextmanager
    def admit(self, call: Call, context: Context) -> Iterator[None]:
        principal = self._identify(context)
        call.identity = Identity(principal=principal)  # also of a call that gets no further
        check_permission(principal, call.method)
        user = read_caller(context.invocation_metadata() or ())
        call.identity = Identity(user, principal)
        with self._limits.use(principal):
            yield

    def is_open_to(self, call: Call, context: Context) -> bool:
        found = self._find(context)
        return isinstance(found, Principal) and is_permitted(found, call.method)

    def _identify(self, context: Context) -> Principal:
        """Return the principal who calls. Raises UnauthenticatedError."""
        found = self._find(context)
        if isinstance(found, Failure):
            self._observer.on_unauthenticated(found)
            raise UnauthenticatedError
        return found

    def _find(self, context: Context) -> Principal | Failure:
        """Find the principal by its token, or else its certificate, or else as anonymous."""
        authorizations = read_authorizations(context.invocation_metadata() or ())
        if not authorizations:
            return self._find_by_certificate(context)
        token = parse_bearer(authorizations[0]) if len(authorizations) == 1 else None
        if token is None:
            return Failure.MALFORMED
        return self._register.current.find_by_token(token) or Failure.UNKNOWN_TOKEN

    def _find_by_certificate(self, context: Context) -> Principal | Failure:
        names = read_certificate_names(context.auth_context())
        if not names:
            return self._register.current.anonymous or Failure.MISSING
        return self._register.current.find_by_certificate(names) or Failure.UNKNOWN_CERTIFICATE
