"""What names one entry of a cache, and the seal that ties its bytes to that name.

A seal is a mark for kind and schema, and a checksum over the entry's key and content: what
was cut, altered, written by another schema or under another key does not open.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Protocol


class Kind(StrEnum):
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

    @property
    def tags(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom an entry belongs to."""

    model: str
    version: str
    digest: str  # of everything in the version that can change a reply
    scope: str = ""  # entries are shared within a scope only
    tags: tuple[str, ...] = ()  # and by requests with the same tags, each once and in order


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
    tag: str | None = None  # that they have among others

    def includes(self, owned: Owned) -> bool:
        """Return whether an owner's entries, or one of them, are selected."""
        return (
            (self.model is None or self.model == owned.model)
            and (self.version is None or self.version == owned.version)
            and (self.scope is None or self.scope == owned.scope)
            and (self.tag is None or self.tag in owned.tags)
        )


MARKS = {Kind.REPLY: b"LSR1", Kind.STATE: b"LSS1"}
MARK_BYTES = 4
CHECKSUM_BYTES = 16
SEAL_BYTES = MARK_BYTES + CHECKSUM_BYTES


class CorruptEntryError(Exception):
    """Bytes that are not the entry they were found as."""


def seal(key: EntryKey, content: bytes) -> bytes:
    """Return the bytes to store under a key."""
    return MARKS[key.kind] + _checksum(key, content) + content


def unseal(key: EntryKey, data: bytes) -> bytes:
    """Return the content of what was stored under a key. Raises CorruptEntryError."""
    content = data[SEAL_BYTES:]
    if data[:SEAL_BYTES] != MARKS[key.kind] + _checksum(key, content):
        raise CorruptEntryError("the seal does not fit")
    return content


def _checksum(key: EntryKey, content: bytes) -> bytes:
    return blake2b(content, key=key.digest, digest_size=CHECKSUM_BYTES).digest()
