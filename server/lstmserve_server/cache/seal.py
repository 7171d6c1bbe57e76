"""Entries as bytes that tell what they are and whose, so that nothing else passes for them.

A seal is a mark for kind and schema, and a checksum over the entry's key and content: what
was cut, altered, written by another schema or under another key does not open.
"""

from __future__ import annotations

from hashlib import blake2b

from lstmserve_server.cache.entry_key import EntryKey, Kind

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
