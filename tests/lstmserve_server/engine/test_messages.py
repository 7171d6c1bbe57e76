"""Messages arrive whole, however they are cut on their way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.engine.messages import (
    COMMANDS,
    LENGTH_BYTES,
    MAX_BYTES,
    Cancel,
    Command,
    Park,
    Unframer,
    Unpark,
    frame,
)

commands = st.lists(st.builds(Cancel, st.integers(0, 9)) | st.builds(Park, st.integers(0, 9)))


@given(messages=st.lists(commands), pieces=st.integers(1, 20))
def test_messages_are_the_same_in_any_pieces(messages: list[list[Command]], pieces: int) -> None:
    sent = b"".join(bytes(frame(message)) for message in messages)
    unframer, received = Unframer(), list[bytes]()
    for start in range(0, len(sent), pieces):
        received += unframer.add(sent[start : start + pieces])
    assert [COMMANDS.decode(each) for each in received] == messages


def test_a_message_that_claims_to_be_endless_is_refused() -> None:
    unframer = Unframer()
    assert unframer.add(bytes(frame([Unpark(1)])))
    with pytest.raises(ValueError, match="at most"):
        unframer.add((MAX_BYTES + 1).to_bytes(LENGTH_BYTES, "little"))
