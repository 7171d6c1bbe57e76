"""Several requests at a time on one stream: their order, their bounds, and their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing

import pytest

from lstmserve_server.rpc.request_stream import multiplex


async def stream_of(requests: Iterable[int]) -> AsyncIterator[int]:
    for request in requests:
        yield request


async def settle() -> None:
    """Let every task that can go on go on."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_responses_come_in_order_to_each_request() -> None:
    async def answer(request: int) -> AsyncGenerator[tuple[int, int]]:
        for number in range(request):
            await asyncio.sleep(0)
            yield request, number

    found = [item async for item in multiplex(stream_of([3, 0, 5, 1]), answer, 2)]
    for request in (3, 5, 1):
        assert [n for r, n in found if r == request] == list(range(request))
    assert len(found) == 9


async def test_no_more_run_at_a_time_than_may_and_no_more_are_read() -> None:
    running, read, most = 0, 0, 0
    may_end = asyncio.Event()

    async def requests() -> AsyncIterator[int]:
        nonlocal read
        for number in range(20):
            read += 1
            yield number

    async def answer(request: int) -> AsyncGenerator[int]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await may_end.wait()
        running -= 1
        yield request

    async def collect() -> list[int]:
        return [item async for item in multiplex(requests(), answer, 3)]

    collecting = asyncio.create_task(collect())
    await settle()
    assert (running, read) == (3, 3)
    may_end.set()
    assert sorted(await collecting) == list(range(20))
    assert most == 3


async def test_who_reads_slowly_is_waited_for() -> None:
    made = 0

    async def answer(_: int) -> AsyncGenerator[int]:
        nonlocal made
        while True:
            made += 1
            yield made

    async with aclosing(multiplex(stream_of([1]), answer, 4)) as responses:
        for number in range(1, 5):
            assert await anext(responses) == number
            await settle()
            assert made <= number + 1


async def test_closing_the_stream_ends_what_runs() -> None:
    ended: list[int] = []
    never = asyncio.Event()

    async def answer(request: int) -> AsyncGenerator[int]:
        try:
            yield request
            await never.wait()
        finally:
            ended.append(request)

    responses = multiplex(stream_of(range(5)), answer, 8)
    assert {await anext(responses) for _ in range(2)} == {0, 1}
    await responses.aclose()
    assert sorted(ended) == list(range(5))
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_goes_wrong_is_raised_and_ends_the_others() -> None:
    ended: list[int] = []
    never = asyncio.Event()

    async def answer(request: int) -> AsyncGenerator[int]:
        try:
            if request == 3:
                raise ZeroDivisionError
            await never.wait()
            yield request
        finally:
            ended.append(request)

    with pytest.RaisesGroup(ZeroDivisionError):
        async for _ in multiplex(stream_of(range(4)), answer, 8):
            pass
    assert sorted(ended) == list(range(4))
