"""Long texts are tokenized beside the event loop, one at a time, and callers in turn."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from lstmserve_server.engine.request import NO_CLAIM, Claim
from lstmserve_server.errors import (
    CallerShareError,
    DeadlineError,
    QueueFullError,
    UnavailableError,
)
from lstmserve_server.rpc.tokenizing import MAX_AT_ONCE_BYTES, Tokenizing
from support.no_threads import allow_no_thread

LONG = MAX_AT_ONCE_BYTES + 1
GREEDY, OTHER = Claim("greedy"), Claim("other")


class Bench:
    """Work that takes until it is let go, and the order in which it was begun."""

    def __init__(self, tokenizing: Tokenizing) -> None:
        self._tokenizing = tokenizing
        self.begun: list[str] = []
        self.let_go = threading.Event()

    def start(self, name: str, claim: Claim = NO_CLAIM) -> asyncio.Task[list[int]]:
        return asyncio.create_task(self._tokenizing.run(self._work(name), LONG, claim))

    def _work(self, name: str) -> Callable[[], list[int]]:
        def work() -> list[int]:
            self.begun.append(name)
            self.let_go.wait()
            return [len(name)]

        return work


async def turn_loop() -> None:
    """Let tasks that were created begin."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_a_short_text_is_tokenized_at_once() -> None:
    here = threading.get_ident()
    assert await Tokenizing().run(lambda: [threading.get_ident()], LONG - 1, NO_CLAIM) == [here]


async def test_the_loop_turns_while_a_long_text_is_tokenized() -> None:
    bench = Bench(Tokenizing())
    task = bench.start("text")
    await turn_loop()
    assert not task.done()
    bench.let_go.set()  # which only this loop does
    assert await task == [4]


async def test_callers_have_their_turns_whoever_sends_more() -> None:
    bench = Bench(Tokenizing())
    tasks = [bench.start(f"greedy {n}", GREEDY) for n in range(9)]
    await turn_loop()
    tasks.append(bench.start("other", OTHER))
    await turn_loop()
    bench.let_go.set()
    await asyncio.gather(*tasks)
    assert bench.begun[0] == "greedy 0"
    assert "other" in bench.begun[1:3]


async def test_what_goes_wrong_is_raised_and_the_next_one_has_its_turn() -> None:
    tokenizing = Tokenizing()

    def fail() -> list[int]:
        raise ZeroDivisionError

    tasks = [asyncio.create_task(tokenizing.run(fail, LONG, NO_CLAIM)) for _ in range(2)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [ZeroDivisionError] * 2
    assert await tokenizing.run(lambda: [1], LONG, NO_CLAIM) == [1]


async def test_whoever_leaves_is_not_worked_for() -> None:
    tokenizing = Tokenizing()
    bench = Bench(tokenizing)
    running, waiting, last = (bench.start(name) for name in ("running", "waiting", "last"))
    await turn_loop()
    running.cancel()
    waiting.cancel()
    await asyncio.wait([running, waiting])
    bench.let_go.set()
    assert await last == [4]
    assert bench.begun == ["running", "last"]


async def test_a_deadline_ends_the_wait() -> None:
    bench = Bench(Tokenizing())
    first = bench.start("first")
    with pytest.raises(DeadlineError):
        await bench.start("second", Claim(deadline=time.monotonic()))
    bench.let_go.set()
    assert await first == [5]


async def test_too_many_are_refused_and_nobody_takes_all_places() -> None:
    bench = Bench(Tokenizing(max_waiting=10))
    tasks = [bench.start(f"greedy {n}", GREEDY) for n in range(10)]
    await turn_loop()
    refused = [task for task in tasks if task.done()]
    assert {type(task.exception()) for task in refused} == {CallerShareError}
    tasks += [bench.start(f"other {n}", Claim(f"other {n}")) for n in range(len(refused))]
    await turn_loop()
    with pytest.raises(QueueFullError):
        await bench.start("one more", Claim("late"))
    bench.let_go.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert len([tokens for tokens in done if isinstance(tokens, list)]) == 10


async def test_without_a_thread_long_texts_are_refused_until_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokenizing = Tokenizing()
    with monkeypatch.context() as patched:
        allow_no_thread(patched)
        for _ in range(3):
            with pytest.raises(UnavailableError, match="no thread"):
                await tokenizing.run(lambda: [1], LONG, NO_CLAIM)
        assert await tokenizing.run(lambda: [1], LONG - 1, NO_CLAIM) == [1]
    assert await tokenizing.run(lambda: [1], LONG, NO_CLAIM) == [1]
