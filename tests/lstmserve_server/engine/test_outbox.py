"""What piles up while a reader is busy is taken at once."""

from __future__ import annotations

import asyncio

import pytest

from lstmserve_server.engine.outbox import Outbox
from lstmserve_server.engine.output import Finish, FinishReason, Output, Timings, TokenLogprobs
from lstmserve_server.errors import EngineDeadError

FINISH = Finish(FinishReason.MAX_TOKENS, "", 3, Timings(0, 0, 0, 0, 0))


def output(*token_ids: int, finish: Finish | None = None) -> Output:
    text = "".join(map(str, token_ids))
    return Output(text, list(token_ids), [TokenLogprobs(-n, ()) for n in token_ids], finish)


async def test_outputs_that_pile_up_become_one() -> None:
    outbox = Outbox(2)
    for part in (output(1), output(2, 3), output(4, finish=FINISH)):
        outbox.put(part)
    assert outbox.num_tokens == 4
    assert outbox.is_complete
    assert await outbox.take() == output(1, 2, 3, 4, finish=FINISH)
    assert outbox.num_tokens == 0
    assert [await outbox.take() for _ in range(2)] == [None, None]


async def test_a_reader_that_is_cancelled_with_its_message_at_hand_takes_nothing() -> None:
    outbox = Outbox(1)
    reader = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    outbox.put(output(1))
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert await outbox.take() == output(1)


async def test_of_two_readers_each_gets_a_message() -> None:
    outbox = Outbox(1)
    readers = [asyncio.create_task(outbox.take()) for _ in range(2)]
    await asyncio.sleep(0)
    outbox.put(output(1))
    assert await readers[0] == output(1)
    await asyncio.sleep(0)
    outbox.put(output(2))
    assert await readers[1] == output(2)


async def test_nothing_comes_of_what_is_closed() -> None:
    outbox = Outbox(1)
    outbox.put(output(1))
    assert await outbox.take() == output(1)
    outbox.put(output(2, 3))
    assert [outbox.close(), outbox.close()] == [2, 0]
    assert await outbox.take() is None


async def test_a_reader_who_is_quick_gets_every_output_as_it_came() -> None:
    outbox = Outbox(1)
    for number in range(3):
        reader = asyncio.create_task(outbox.take())
        await asyncio.sleep(0)
        assert not reader.done()
        outbox.put(output(number))
        assert await reader == output(number)
        assert not outbox.is_complete


async def test_a_message_waits_for_enough_tokens_but_for_the_first_and_the_last() -> None:
    outbox = Outbox(3)
    outbox.put(output(1))
    assert await outbox.take() == output(1)
    reader = asyncio.create_task(outbox.take())
    for part in (output(2), output(3)):
        outbox.put(part)
        await asyncio.sleep(0)
        assert not reader.done()
    outbox.put(output(4))
    assert await reader == output(2, 3, 4)
    outbox.put(output(5, finish=FINISH))
    assert await outbox.take() == output(5, finish=FINISH)


@pytest.mark.parametrize("message_tokens", [1, 8])
async def test_what_a_parked_reply_has_made_is_taken_whole_however_little_it_is(
    message_tokens: int,
) -> None:
    outbox = Outbox(message_tokens)
    outbox.put(output(1))
    assert await outbox.take() == output(1)
    outbox.is_parked = True
    outbox.put(output(2))
    outbox.put(output(3))
    assert await outbox.take() == output(2, 3)


async def test_an_error_comes_after_what_came_before_it() -> None:
    outbox = Outbox(1)
    outbox.put(output(1))
    outbox.put(EngineDeadError("dead"))
    assert outbox.is_complete
    assert await outbox.take() == output(1)
    for _ in range(2):
        with pytest.raises(EngineDeadError):
            await outbox.take()
