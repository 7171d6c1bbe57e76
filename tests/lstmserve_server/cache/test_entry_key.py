"""Only what was sealed under a key opens under it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.cache.entry_key import CorruptEntryError, EntryKey, Kind, Owner, seal, unseal

OWNER = Owner("tiny", "1", "d" * 64)
KEY = EntryKey(Kind.REPLY, OWNER, "00", bytes(32))


@given(st.binary(max_size=100))
def test_what_is_sealed_opens(content: bytes) -> None:
    assert unseal(KEY, seal(KEY, content)) == content


@given(st.binary(max_size=60), st.data())
def test_a_changed_byte_does_not_open(content: bytes, data: st.DataObject) -> None:
    sealed = bytearray(seal(KEY, content))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CorruptEntryError):
        unseal(KEY, bytes(sealed))


@given(st.binary(max_size=60), st.data())
def test_a_cut_or_foreign_entry_does_not_open(content: bytes, data: st.DataObject) -> None:
    sealed = seal(KEY, content)
    cut = sealed[: data.draw(st.integers(0, len(sealed) - 1))]
    for foreign in (cut, content, sealed + b"x"):
        with pytest.raises(CorruptEntryError):
            unseal(KEY, foreign)


def test_another_keys_entry_does_not_open() -> None:
    sealed = seal(KEY, b"reply")
    for other in (
        EntryKey(Kind.REPLY, OWNER, "00", b"\1" * 32),
        EntryKey(Kind.STATE, OWNER, "00", bytes(32)),
    ):
        with pytest.raises(CorruptEntryError):
            unseal(other, sealed)
