"""What names one entry of a cache, in process and in Redis."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Kind(Enum):
    """What an entry holds."""

    REPLY = "reply"
    STATE = "state"


class Owned(Protocol):
    """What entries are purged by."""

    @property
    def model(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def scope(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom an entry belongs to."""

    model: str
    version: str
    digest: str  # of everything in the version that can change a reply
    scope: str = ""  # entries are shared within a scope only


@dataclass(frozen=True, slots=True)
class EntryKey:
    """One entry; two keys are equal only if their entries are."""

    kind: Kind
    owner: Owner
    shard: str  # entries that may be asked for together have the same
    digest: bytes  # of everything that decides the entry, the owner included


@dataclass(frozen=True, slots=True)
class Selection:
    """Entries of some owners; what is None may be anything."""

    model: str | None = None
    version: str | None = None
    scope: str | None = None

    def includes(self, owned: Owned) -> bool:
        """Return whether an owner's entries, or one of them, are selected."""
        return (
            (self.model is None or self.model == owned.model)
            and (self.version is None or self.version == owned.version)
            and (self.scope is None or self.scope == owned.scope)
        )
