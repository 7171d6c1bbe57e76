"""Who may call, how much, and who is told when somebody may not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from hmac import compare_digest
from typing import Protocol

from lstmserve_server.auth.tokens import hash_token


class Scope(Enum):
    """What a principal may do; neither contains the other."""

    GENERATE = "generate"
    ADMIN = "admin"


ANONYMOUS_NAME = "anonymous"  # of the principal that all are who prove nothing


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whom the operator knows by name, and what it may do."""

    name: str  # as an x-caller-id: it has neither '/' nor ':'
    scopes: frozenset[Scope]
    token_hashes: tuple[bytes, ...] = field(default=(), repr=False)  # as tokens.hash_token
    certificate_names: tuple[str, ...] = ()
    requests_per_second: float | None = None  # None: as many as it likes
    burst: float = 1.0  # requests at once, where requests_per_second bounds them
    max_concurrent: int | None = None  # calls that run; None: as many as it likes
    has_own_cache: bool = False  # its replies are neither given to others nor taken from them

    @property
    def is_anonymous(self) -> bool:
        """Whether it stands for everybody who proves nothing."""
        return self.name == ANONYMOUS_NAME


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


class Failure(Enum):
    """Why nobody knows who calls; callers themselves are not told."""

    MISSING = "missing"  # neither a token nor a certificate
    MALFORMED = "malformed"  # no bearer token of ours, or several
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105 - a reason
    UNKNOWN_CERTIFICATE = "unknown_certificate"


class AuthObserver(Protocol):
    """Told of callers; must be quick and must not raise."""

    def on_unauthenticated(self, failure: Failure) -> None:
        """Somebody could not prove who it is."""

    def on_read(self, *, is_good: bool) -> None:
        """The file of callers has changed, or cannot be used."""
