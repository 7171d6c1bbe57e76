"""The principals that a server knows at one moment, and how one is found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hmac import compare_digest

from lstmserve_server.auth.principal import Principal
from lstmserve_server.auth.tokens import hash_token


class Register:
    """Looks principals up; no two of them share a name, a token or a certificate."""

    def __init__(self, principals: Iterable[Principal]) -> None:
        known = tuple(principals)
        self.num_principals = len(known)
        # who proves nothing; None: such are not let in
        self.anonymous = next((one for one in known if one.is_anonymous), None)
        self._by_hash = [(digest, one) for one in known for digest in one.token_hashes]
        self._by_certificate = {name: one for one in known for name in one.certificate_names}

    def find_by_token(self, token: str) -> Principal | None:
        """Whose token it is. How long that takes tells nothing: all hashes are compared."""
        digest, found = hash_token(token), None
        for known, principal in self._by_hash:
            if compare_digest(known, digest):
                found = principal
        return found

    def find_by_certificate(self, names: Sequence[str]) -> Principal | None:
        """Whose certificate it is; nobody's when its names are those of several principals."""
        found = {
            self._by_certificate[name].name: self._by_certificate[name]
            for name in names
            if name in self._by_certificate
        }
        return next(iter(found.values())) if len(found) == 1 else None
