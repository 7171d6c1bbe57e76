"""One reply for all who ask for it: nobody gets less, more or other than alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from lstmserve_server.engine.output import Output
from lstmserve_server.engine.request import Claim, Priority
from lstmserve_server.errors import EngineDeadError, QueueFullError
from lstmserve_server.replies.flight import Flight, Opened
from lstmserve_server.replies.reply import Outcome, Provenance
from support.scripted_outputs import ScriptedOutputs, token


class Field:
    """A flight, its reply, and what its end was."""

    def __init__(self, claim: Claim = Claim()) -> None:  # noqa: B008 - frozen
        self.outputs = ScriptedOutputs()
        self.may_open = asyncio.Event()
        self.opened_with: list[Claim] = []
        self.ends: list[list[Output]] = []
        self.flight = Flight(claim, self._open, lambda outputs: self.ends.append([*outputs]))

    async def _open(self, claim: Callable[[], Claim]) -> Opened:
        await self.may_open.wait()
        self.opened_with.append(claim())
        return Opened(self.outputs, Provenance(Outcome.MISS))

    def follow(self, claim: Claim = Claim(), count: int | None = None) -> asyncio.Task[list[int]]:  # noqa: B008
        """Follow to the end, or for so many tokens; the tokens."""

        async def read() -> list[int]:
            found: list[int] = []
            async with aclosing(self.flight.follow(claim)) as outputs:
                async for output in outputs:
                    found += output.token_ids
                    if count is not None and len(found) >= count:
                        break
            return found

        return asyncio.create_task(read())

    def follow_whole(self, claim: Claim = Claim()) -> asyncio.Task[Output]:  # noqa: B008
        return asyncio.create_task(self.flight.whole(claim))


async def settle() -> None:
    """Let everybody go as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_late_follower_first_gets_what_exists_and_then_what_comes() -> None:
    field = Field()
    field.may_open.set()
    early = field.follow()
    field.outputs.put(token(0), token(1))
    await settle()
    late: list[Output] = []
    async with aclosing(field.flight.follow(Claim())) as outputs:
        late.append(await anext(outputs))
        field.outputs.put(token(2, is_last=True))
        late += [output async for output in outputs]
    assert [output.token_ids for output in late] == [[0, 1], [2]]
    assert [output.text for output in late] == ["0 1 ", "2 "]
    assert await early == [0, 1, 2]
    assert [output.token_ids for output in field.ends[0]] == [[0], [1], [2]]
    assert not field.flight.is_joinable


async def test_whoever_leaves_the_others_go_on() -> None:
    field = Field()
    field.may_open.set()
    first, second, third = field.follow(), field.follow(), field.follow()
    field.outputs.put(token(0))
    await settle()
    first.cancel()  # the one who asks
    await settle()
    field.outputs.put(token(1))
    await settle()
    second.cancel()
    await settle()
    field.outputs.put(token(2, is_last=True))
    assert await third == [0, 1, 2]
    assert len(field.ends) == 1
    assert field.opened_with == [Claim()]  # it began once


async def test_a_first_that_leaves_before_the_reply_begins_leaves_it_to_the_others() -> None:
    field = Field()
    first, second = field.follow(), field.follow()
    await settle()
    first.cancel()
    await settle()
    field.may_open.set()
    field.outputs.put(token(0, is_last=True))
    assert await second == [0]


@pytest.mark.parametrize("has_begun", [False, True])
async def test_the_last_to_leave_ends_it(has_begun: bool) -> None:
    field = Field()
    tasks = [field.follow() for _ in range(3)]
    if has_begun:
        field.may_open.set()
        field.outputs.put(token(0))
    await settle()
    for task in tasks:
        assert not field.ends
        task.cancel()
        await settle()
    assert field.ends == [[]]
    assert field.outputs.num_closed == int(has_begun)
    assert not field.flight.is_joinable


async def test_who_leaves_before_the_end_has_had_no_part_of_a_whole_reply() -> None:
    field = Field()
    field.may_open.set()
    whole, streamed = field.follow_whole(), field.follow(count=2)
    field.outputs.put(token(0), token(1))
    assert await streamed == [0, 1]
    field.outputs.put(token(2), token(3), token(4))
    await settle()
    whole.cancel()
    await settle()
    assert (field.outputs.num_closed, field.outputs.num_untold) == (1, 3)


async def test_a_failed_reply_was_made_for_those_who_had_a_part_of_it() -> None:
    field = Field()
    field.may_open.set()
    whole = field.follow_whole()
    field.outputs.put(token(0), token(1), EngineDeadError("gone"))
    with pytest.raises(EngineDeadError):
        await whole
    assert field.outputs.num_untold == 2


async def test_a_complete_reply_was_made_for_whoever_asks_next() -> None:
    field = Field()
    field.may_open.set()
    whole = field.follow_whole()
    field.outputs.put(token(0, is_last=True))
    await whole
    assert (field.outputs.num_closed, field.outputs.num_untold) == (1, 0)


async def test_who_wants_it_whole_waits_for_the_end_and_holds_up_nobody() -> None:
    field = Field()
    field.may_open.set()
    whole = [field.follow_whole() for _ in range(3)]
    await settle()
    streamed = field.follow(count=1)
    field.outputs.put(token(0))
    assert await streamed == [0]  # at once
    whole.append(field.follow_whole())
    field.outputs.put(token(1))
    await settle()
    whole.pop(0).cancel()
    await settle()
    assert not any(task.done() for task in whole)
    field.outputs.put(token(2, is_last=True))
    for task in whole:
        output = await task
        assert (output.text, output.token_ids) == ("0 1 2 ", [0, 1, 2])
        assert output.finish is not None
    assert len(field.ends) == 1


async def test_the_last_who_wants_it_whole_ends_it_by_leaving() -> None:
    field = Field()
    field.may_open.set()
    tasks = [field.follow_whole() for _ in range(3)]
    field.outputs.put(token(0))
    await settle()
    for task in tasks:
        assert not field.ends
        task.cancel()
        await settle()
    assert field.ends == [[]]
    assert field.outputs.num_closed == 1


async def test_what_it_fails_with_reaches_everybody() -> None:
    field = Field()
    field.may_open.set()
    tasks: list[asyncio.Task[Any]] = [field.follow() for _ in range(3)]
    tasks += [field.follow_whole() for _ in range(3)]
    field.outputs.put(token(0), EngineDeadError("dead"))
    for task in tasks:
        with pytest.raises(EngineDeadError):
            await task
    assert field.ends == [[]]


async def test_a_refusal_reaches_everybody() -> None:
    field = Field()

    async def refuse(_claim: Callable[[], Claim]) -> Opened:
        raise QueueFullError("full", 1.0)

    field.flight = Flight(Claim(), refuse, lambda outputs: field.ends.append([*outputs]))
    for task in [field.follow() for _ in range(3)]:
        with pytest.raises(QueueFullError):
            await task
    assert field.ends == [[]]


async def test_it_is_as_urgent_as_the_most_urgent_and_lasts_for_the_longest() -> None:
    first = Claim("alice", Priority.LOW, 5.0)
    field = Field(first)
    tasks = [field.follow(first), field.follow(Claim("bob", Priority.NORMAL, 3.0))]
    await settle()
    field.may_open.set()
    await settle()
    assert field.opened_with == [Claim("alice", Priority.NORMAL, 5.0)]
    tasks += [field.follow(Claim("carol", Priority.HIGH, 9.0)), field.follow(first)]
    await settle()
    assert field.outputs.claims == [Claim("alice", Priority.HIGH, 9.0)]
    field.outputs.put(token(0, is_last=True))
    assert await asyncio.gather(*tasks) == [[0]] * 4


@pytest.mark.parametrize("seed", range(30))
async def test_whoever_comes_and_goes_everybody_who_stays_gets_everything(seed: int) -> None:
    rng = random.Random(seed)
    field = Field()
    field.may_open.set()
    stays = [field.follow()]
    whole: list[asyncio.Task[Output]] = []
    leaves: list[asyncio.Task[list[int]]] = []
    for number in range(20):
        for _ in range(rng.randrange(3)):
            stays.append(field.follow())
            whole.append(field.follow_whole())
            leaves.append(field.follow(count=rng.choice([1, 3, None])))
        if leaves and rng.random() < 0.7:
            leaves.pop(rng.randrange(len(leaves))).cancel()
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        field.outputs.put(token(number, is_last=number == 19))
        if rng.random() < 0.5:
            await settle()
    assert all(found == list(range(20)) for found in await asyncio.gather(*stays))
    assert all(found.token_ids == list(range(20)) for found in await asyncio.gather(*whole))
    await asyncio.gather(*leaves, return_exceptions=True)
    assert [output.token_ids for output in field.ends[0]] == [[n] for n in range(20)]
    assert len(field.ends) == 1
