"""Operators who say several things at once, leave before the end, or meet the server's end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lstmserve_server.errors import ModelLoadError, ModelNeededError, UnavailableError
from lstmserve_server.store.directives import Directives
from support.store_bench import StoreBench

ONE, TWO = ("a", 1), ("a", 2)
OTHER = ("b", 1)


@pytest.fixture
async def bench(tmp_path: Path) -> StoreBench:
    """Version 2 of ``a`` answers, and version 1 lies in the store; beside it there is ``b``."""
    bench = StoreBench(tmp_path)
    await bench.start(ONE, TWO, OTHER)
    return bench


async def test_a_version_asked_for_twice_at_once_is_loaded_once(bench: StoreBench) -> None:
    records = await asyncio.gather(*(bench.administration.load(ONE) for _ in range(3)))
    assert records == [bench.record(ONE)] * 3
    assert bench.loader.loads.count(ONE) == 1


async def test_what_was_begun_is_ended_when_who_asked_has_left(bench: StoreBench) -> None:
    lock = bench.loader.hold(ONE)
    loading = asyncio.create_task(bench.administration.load(ONE))
    await bench.until_begun(ONE)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    lock.set()
    await bench.follow(1)  # waits for its turn
    assert bench.states[ONE] == "ready"
    assert bench.said == [Directives(default_model="a").with_requested(ONE)]


async def test_nobody_is_bothered_with_a_failure_after_who_asked_has_left(
    bench: StoreBench,
) -> None:
    troubles: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, trouble: troubles.append(trouble))
    bench.loader.errors[ONE] = ModelLoadError("spoiled")
    lock = bench.loader.hold(ONE)
    loading = asyncio.create_task(bench.administration.load(ONE))
    await bench.until_begun(ONE)
    loading.cancel()
    await asyncio.wait({loading})
    lock.set()
    await bench.follow(1)
    assert bench.states[ONE] == "failed"
    assert bench.administration._tasks == set()
    assert troubles == []


async def test_the_default_changes_at_once_while_a_version_is_loaded(bench: StoreBench) -> None:
    lock = bench.loader.hold(ONE)
    loading = asyncio.create_task(bench.administration.load(ONE))
    await bench.until_begun(ONE)
    bench.administration.set_default("b", None)
    assert bench.ask() == OTHER
    lock.set()
    await loading
    assert bench.ask() == OTHER
    assert bench.said[-1] == Directives(default_model="b").with_requested(ONE)


async def test_a_load_that_fails_takes_back_nothing_that_was_said_meanwhile(
    bench: StoreBench,
) -> None:
    bench.loader.errors[ONE] = ModelLoadError("spoiled")
    lock = bench.loader.hold(ONE)
    loading = asyncio.create_task(bench.administration.load(ONE))
    await bench.until_begun(ONE)
    bench.administration.set_default("b", None)
    lock.set()
    with pytest.raises(ModelLoadError, match="spoiled"):
        await loading
    assert bench.ask() == OTHER
    assert bench.said == [Directives(default_model="b")]
    assert bench.inventory.directives == bench.said[-1]


async def test_an_unload_that_fails_takes_back_nothing_that_was_said_meanwhile(
    bench: StoreBench,
) -> None:
    bench.loader.errors[ONE] = ModelLoadError("spoiled")
    lock = bench.loader.hold(ONE)
    unloading = asyncio.create_task(bench.administration.unload(TWO))
    await bench.until_begun(ONE)  # which is to take its place
    bench.administration.set_traffic("b", {1: 7})
    lock.set()
    with pytest.raises(ModelNeededError):
        await unloading
    assert bench.ask() == TWO
    expected = Directives(default_model="a").with_weights("b", {1: 7})
    assert bench.said == [expected]
    assert bench.inventory.directives == expected


async def test_a_load_is_not_undone_by_what_another_process_was_told_meanwhile(
    bench: StoreBench,
) -> None:
    lock = bench.loader.hold(ONE)
    loading = asyncio.create_task(bench.administration.load(ONE))
    await bench.until_begun(ONE)
    bench.administration.hear(Directives(default_model="b"))
    lock.set()
    await loading
    await bench.follow(1)
    assert bench.answering == {OTHER: 1.0, TWO: 1.0, ONE: 0.0}
    assert bench.ask() == OTHER
    assert bench.said == [Directives(default_model="b").with_requested(ONE)]


async def test_an_unload_is_not_undone_by_what_another_process_was_told_meanwhile(
    bench: StoreBench,
) -> None:
    lock = bench.loader.hold(ONE)
    unloading = asyncio.create_task(bench.administration.unload(TWO))
    await bench.until_begun(ONE)
    bench.administration.hear(Directives(default_model="b"))
    lock.set()
    await unloading
    await bench.follow(1)
    assert bench.answering == {OTHER: 1.0, ONE: 1.0}
    assert bench.said == [Directives(default_model="b").with_rejected(TWO)]


async def test_versions_are_verified_one_after_the_other(bench: StoreBench) -> None:
    lock = bench.loader.hold(ONE)
    verifying = [asyncio.create_task(bench.administration.verify(each)) for each in (ONE, TWO)]
    await bench.until_begun(ONE)
    bench.administration.set_default("b", None)  # and nothing else has to wait for them
    await bench.administration.load(OTHER)
    assert ("verify", TWO) not in bench.loader.log
    lock.set()
    assert await asyncio.gather(*verifying) == [bench.record(ONE), bench.record(TWO)]


async def test_what_still_loads_when_the_server_ends_is_refused(bench: StoreBench) -> None:
    bench.loader.hold(ONE)
    loading = asyncio.create_task(bench.administration.load(ONE))
    await bench.until_begun(ONE)
    waiting = asyncio.create_task(bench.administration.verify(TWO))
    closing = asyncio.create_task(bench.administration.close())
    for task in (loading, waiting):
        with pytest.raises(UnavailableError, match="shutting down"):
            await task
    await closing
    await bench.manager.close()
    assert bench.ask() == TWO  # whoever closes the port decides when nobody asks any more
    assert sorted(bench.loader.unloads) == [TWO, OTHER]


async def test_a_store_that_cannot_be_read_is_said_to_be_unavailable(bench: StoreBench) -> None:
    bench.unmount()
    for act in (bench.administration.load, bench.administration.verify):
        with pytest.raises(UnavailableError, match="is not a folder"):
            await act(ONE)
    bench.mount()
    await bench.administration.load(ONE)
