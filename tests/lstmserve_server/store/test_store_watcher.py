"""A store is followed until it is told otherwise, whatever goes wrong with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lstmserve_server.store.live_store import StoreWatcher
from support.store_bench import WAIT_SECONDS, StoreBench

ONE, TWO = ("a", 1), ("a", 2)


class Looks:
    """Counts a manager's looks at its store, each of which may fail."""

    def __init__(self, bench: StoreBench, monkeypatch: pytest.MonkeyPatch) -> None:
        self._follow = bench.manager.follow
        self._ended: asyncio.Queue[None] = asyncio.Queue()
        self.error: Exception | None = None
        monkeypatch.setattr(bench.manager, "follow", self._look)

    async def _look(self) -> None:
        try:
            if self.error is not None:
                raise self.error
            await self._follow()
        finally:
            self._ended.put_nowait(None)

    async def until(self, count: int) -> None:
        """Until so many more have begun after this, and ended."""
        while not self._ended.empty():
            self._ended.get_nowait()
        async with asyncio.timeout(WAIT_SECONDS):
            for _ in range(count + 1):  # one may be on its way
                await self._ended.get()


@pytest.fixture
async def bench(tmp_path: Path) -> StoreBench:
    bench = StoreBench(tmp_path)
    await bench.start(ONE)
    return bench


@pytest.fixture
async def looks(bench: StoreBench, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Looks]:
    """Of a watcher that runs."""
    looks = Looks(bench, monkeypatch)
    task = asyncio.create_task(StoreWatcher(bench.manager, poll_seconds=0.001).run())
    yield looks
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def test_what_is_new_in_the_store_is_served(bench: StoreBench, looks: Looks) -> None:
    bench.put(TWO)
    await bench.until_begun(TWO)
    await looks.until(1)
    assert bench.ask() == TWO


async def test_a_store_that_is_away_is_told_of_once_and_so_is_its_return(
    bench: StoreBench, looks: Looks
) -> None:
    with capture_logs() as log:
        bench.unmount()
        await looks.until(3)
        assert bench.ask() == ONE
        bench.mount()
        await looks.until(3)
        bench.put(TWO)
        await bench.until_begun(TWO)
    *troubles, last = log
    assert (last["log_level"], last["event"]) == ("info", "the model store can be read again")
    reasons = [entry["reason"] for entry in troubles]
    assert len(set(reasons)) == len(reasons) > 0  # it may go away in the middle of a look, too
    assert all(str(bench.folder) in reason for reason in reasons)


async def test_a_bug_is_told_and_does_not_end_it(bench: StoreBench, looks: Looks) -> None:
    with capture_logs() as log:
        looks.error = ZeroDivisionError()
        await looks.until(1)
        looks.error = None
    assert log[0]["event"].startswith("a bug")
    bench.put(TWO)
    await bench.until_begun(TWO)
