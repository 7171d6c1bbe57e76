"""Who may call, and how much."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


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
