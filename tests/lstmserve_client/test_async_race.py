"""The first answer of two calls, for an event loop: no test waits for time to pass."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import pytest

from lstmserve_client import OverloadedError, UnavailableError
from lstmserve_client.async_race import race

LONG = 3600.0


class Hanging:
    """A call that does not end until it is let go."""

    def __init__(self, error: Exception | None = None) -> None:
        self.go = asyncio.Event()
        self.is_cancelled = False
        self._error = error

    async def call(self) -> str:
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.is_cancelled = True
            raise
        if self._error is not None:
            raise self._error
        return "first"


async def answers(text: str) -> str:
    return text


async def fails(error: Exception) -> str:
    raise error


def never() -> NoReturn:
    pytest.fail("nobody was to ask a second server")


async def test_a_first_that_answers_in_time_is_alone() -> None:
    assert await race(lambda: answers("first"), never, LONG) == "first"


async def test_a_first_that_fails_in_time_is_alone() -> None:
    with pytest.raises(UnavailableError):
        await race(lambda: fails(UnavailableError("first")), never, LONG)


async def test_the_second_answers_for_a_first_that_hangs_which_is_cancelled() -> None:
    first = Hanging()
    assert await race(first.call, lambda: answers("second"), 0.001) == "second"
    assert first.is_cancelled


async def test_a_second_that_fails_loses_to_a_first_that_answers_later() -> None:
    first = Hanging()

    async def second() -> str:
        first.go.set()
        raise OverloadedError("second")

    assert await race(first.call, second, 0.001) == "first"


async def test_if_both_fail_the_later_failure_is_told() -> None:
    first = Hanging(UnavailableError("first"))

    async def second() -> str:
        first.go.set()
        raise OverloadedError("second")

    with pytest.raises(UnavailableError, match="first"):
        await race(first.call, second, 0.001)


async def test_without_a_second_the_first_is_waited_for() -> None:
    first = Hanging()
    assert await race(first.call, first.go.set, 0.001) == "first"  # type: ignore[arg-type]  # gives None


async def test_cancelling_the_race_cancels_both() -> None:
    first, second, has_begun = Hanging(), Hanging(), asyncio.Event()

    async def begin_second() -> str:
        has_begun.set()
        return await second.call()

    task = asyncio.create_task(race(first.call, begin_second, 0.001))
    await has_begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert first.is_cancelled
    assert second.is_cancelled
