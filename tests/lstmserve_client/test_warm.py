"""Warming many prompts: how many at a time, what is tried again, and what is given up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lstmserve_client import (
    CacheWarmed,
    DeadlineExceededError,
    LstmserveError,
    OverloadedError,
    RequestOptions,
)
from lstmserve_client.cache.prompts import PromptLine
from lstmserve_client.cache.warm import MAX_ATTEMPTS, UNTOLD_DELAY_SECONDS, warm_all

if TYPE_CHECKING:
    from lstmserve_client.cache.warm import Result

LINES = [PromptLine(number, f"prompt {number}", RequestOptions()) for number in range(1, 21)]
DONE = CacheWarmed(generated=1, already_stored=0)


class Server:
    """Answers after the line's failures; counts how many it works on at a time."""

    def __init__(self, failures: dict[int, list[LstmserveError]]) -> None:
        self.failures = failures
        self.most = self._now = 0
        self.slept: list[float] = []
        self.results: dict[int, Result] = {}

    async def warm(self, line: PromptLine) -> CacheWarmed:
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(0)  # gives the others their turn
        self._now -= 1
        if self.failures.get(line.number):
            raise self.failures[line.number].pop(0)
        return DONE

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def add(self, line: PromptLine, result: Result) -> None:
        assert line.number not in self.results
        self.results[line.number] = result


async def warm_with(failures: dict[int, list[LstmserveError]], concurrency: int = 4) -> Server:
    server = Server(failures)
    await warm_all(LINES, server.warm, server.add, concurrency=concurrency, sleep=server.sleep)
    return server


@pytest.mark.parametrize("concurrency", [1, 3, 100])
async def test_every_line_has_one_result_and_no_more_run_than_allowed(concurrency: int) -> None:
    server = await warm_with({}, concurrency)
    assert server.results == dict.fromkeys(range(1, 21), DONE)
    assert server.most == min(concurrency, len(LINES))


async def test_a_busy_server_is_asked_again_when_it_said() -> None:
    busy = [OverloadedError("later", retry_delay_seconds=seconds) for seconds in (0.25, None, 0)]
    server = await warm_with({7: [*busy]})
    assert server.results[7] == DONE
    assert server.slept == [0.25, UNTOLD_DELAY_SECONDS, 0]


async def test_a_server_that_stays_busy_is_given_up() -> None:
    error = OverloadedError("later", retry_delay_seconds=0.5)
    server = await warm_with({7: [error] * 1000})
    assert server.results[7] is error
    assert server.slept == [0.5] * (MAX_ATTEMPTS - 1)
    assert len(server.results) == len(LINES)


async def test_other_failures_are_final_and_stop_nobody() -> None:
    error = DeadlineExceededError("too late")
    server = await warm_with({3: [error], 20: [error]})
    failed = [number for number, result in server.results.items() if result is error]
    assert sorted(failed) == [3, 20]
    assert len(server.results) == len(LINES)
    assert server.slept == []
