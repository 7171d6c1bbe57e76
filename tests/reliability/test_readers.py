"""Every reader of bytes from outside, on the same examples in every run.

``python tests/reliability/fuzz`` looks further, guided by coverage.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.fuzz_targets import TARGETS
from support.fuzzing import bounded, mutated


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
@bounded(300)
def test_what_is_wrong_with_bytes_is_told_and_never_a_bug(name: str, data: st.DataObject) -> None:
    """Requests, kept entries, manifests, configuration files and Redis URLs, random or damaged:
    each is read, or refused by the error that says what is wrong; nothing else is raised.
    """
    target = TARGETS[name]
    target.read(data.draw(st.one_of(st.binary(max_size=64), mutated(target.seeds))))


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(
            b"\x98\xa2hi\x92\x05\x06\x92\x01\x02\x90\x01\xa0\xcb" + bytes(8) + b"\x91" * 100_000,
            id="nested",
        ),
        pytest.param(
            b"\x97\xa2hi\x92\x05\xcf" + b"\xff" * 8 + b"\x92\x01\x02\x90\x01\xa0\xcb" + bytes(8),
            id="token beyond 32 bits",
        ),
        pytest.param(
            b"\x97\xa2hi\x92\x05\x06\x92\xff\x02\x90\x01\xa0\xcb" + bytes(8), id="negative end"
        ),
    ],
)
def test_an_entry_that_could_not_be_sent_is_corrupt(entry: bytes) -> None:
    """An entry that fits its seal and its types, of numbers that no reply has."""
    TARGETS["entry"].read(entry)
