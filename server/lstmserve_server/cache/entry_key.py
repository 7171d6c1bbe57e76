"""What names one entry of a cache, in process and in Redis."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What an entry holds."""

    REPLY = "reply"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom an entry belongs to: what entries are purged by."""

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

    def includes(self, owner: Owner) -> bool:
        """Whether an owner's entries are selected."""
        return (
            self.model in {None, owner.model}
            and self.version in {None, owner.version}
            and self.scope in {None, owner.scope}
        )
