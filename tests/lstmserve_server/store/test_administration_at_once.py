"""Operators who say several things at once, leave before the end, or meet the server's end."""

from __future__ import annotations

import asyncio

import pytest

from lstmserve_server.errors import ModelLoadError, ModelNeededError, UnavailableError
from lstmserve_server.store.directives import Directives
from support.store_bench import StoreBench

ONE, TWO = ("a", 1), ("a", 2)
OTHER = ("b", 1)


async def test_a_version_asked_for_twice_at_once_is_loaded_once(stocked: StoreBench) -> None:
    records = await asyncio.gather(*(stocked.administration.load(ONE) for _ in range(3)))
    assert records == [stocked.record(ONE)] * 3
    assert stocked.loader.loads.count(ONE) == 1


async def test_what_was_begun_is_ended_when_who_asked_has_left(stocked: StoreBench) -> None:
    lock = stocked.loader.hold(ONE)
    loading = asyncio.create_task(stocked.administration.load(ONE))
    await stocked.until_begun(ONE)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    lock.set()
    await stocked.follow(1)  # waits for its turn
    assert stocked.states[ONE] == "ready"
    assert stocked.said == [Directives().with_requested(ONE)]


async def test_nobody_is_bothered_with_a_failure_after_who_asked_has_left(
    stocked: StoreBench,
) -> None:
    troubles: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, trouble: troubles.append(trouble))
    stocked.loader.errors[ONE] = ModelLoadError("spoiled")
    lock = stocked.loader.hold(ONE)
    loading = asyncio.create_task(stocked.administration.load(ONE))
    await stocked.until_begun(ONE)
    loading.cancel()
    await asyncio.wait({loading})
    lock.set()
    await stocked.follow(1)
    assert stocked.states[ONE] == "failed"
    assert stocked.administration._tasks == set()
    assert troubles == []


async def test_the_default_changes_at_once_while_a_version_is_loaded(stocked: StoreBench) -> None:
    lock = stocked.loader.hold(ONE)
    loading = asyncio.create_task(stocked.administration.load(ONE))
    await stocked.until_begun(ONE)
    stocked.administration.set_default("b", None)
    assert stocked.ask() == OTHER
    lock.set()
    await loading
    assert stocked.ask() == OTHER
    assert stocked.said[-1] == Directives(default_model="b").with_requested(ONE)


async def test_a_load_that_fails_takes_back_nothing_that_was_said_meanwhile(
    stocked: StoreBench,
) -> None:
    stocked.loader.errors[ONE] = ModelLoadError("spoiled")
    lock = stocked.loader.hold(ONE)
    loading = asyncio.create_task(stocked.administration.load(ONE))
    await stocked.until_begun(ONE)
    stocked.administration.set_default("b", None)
    lock.set()
    with pytest.raises(ModelLoadError, match="spoiled"):
        await loading
    assert stocked.ask() == OTHER
    assert stocked.said == [Directives(default_model="b")]
    assert stocked.inventory.directives == stocked.said[-1]


async def test_an_unload_that_fails_takes_back_nothing_that_was_said_meanwhile(
    stocked: StoreBench,
) -> None:
    stocked.loader.errors[ONE] = ModelLoadError("spoiled")
    lock = stocked.loader.hold(ONE)
    unloading = asyncio.create_task(stocked.administration.unload(TWO))
    await stocked.until_begun(ONE)  # which is to take its place
    stocked.administration.set_traffic("b", {1: 7})
    lock.set()
    with pytest.raises(ModelNeededError):
        await unloading
    assert stocked.ask() == TWO
    expected = Directives().with_weights("b", {1: 7})
    assert stocked.said == [expected]
    assert stocked.inventory.directives == expected


async def test_a_load_is_not_undone_by_what_another_process_was_told_meanwhile(
    stocked: StoreBench,
) -> None:
    lock = stocked.loader.hold(ONE)
    loading = asyncio.create_task(stocked.administration.load(ONE))
    await stocked.until_begun(ONE)
    stocked.administration.apply(Directives(default_model="b"))
    lock.set()
    await loading
    await stocked.follow(1)
    assert stocked.answering == {OTHER: 1.0, TWO: 1.0, ONE: 0.0}
    assert stocked.ask() == OTHER
    assert stocked.said == [Directives(default_model="b").with_requested(ONE)]


async def test_an_unload_is_not_undone_by_what_another_process_was_told_meanwhile(
    stocked: StoreBench,
) -> None:
    lock = stocked.loader.hold(ONE)
    unloading = asyncio.create_task(stocked.administration.unload(TWO))
    await stocked.until_begun(ONE)
    stocked.administration.apply(Directives(default_model="b"))
    lock.set()
    await unloading
    await stocked.follow(1)
    assert stocked.answering == {OTHER: 1.0, ONE: 1.0}
    assert stocked.said == [Directives(default_model="b").with_rejected(TWO)]


async def test_versions_are_verified_one_after_the_other(stocked: StoreBench) -> None:
    lock = stocked.loader.hold(ONE)
    verifying = [asyncio.create_task(stocked.administration.verify(each)) for each in (ONE, TWO)]
    await stocked.until_begun(ONE)
    stocked.administration.set_default("b", None)  # and nothing else has to wait for them
    await stocked.administration.load(OTHER)
    assert ("verify", TWO) not in stocked.loader.log
    lock.set()
    assert await asyncio.gather(*verifying) == [stocked.record(ONE), stocked.record(TWO)]


async def test_what_still_loads_when_the_server_ends_is_refused(stocked: StoreBench) -> None:
    stocked.loader.hold(ONE)
    loading = asyncio.create_task(stocked.administration.load(ONE))
    await stocked.until_begun(ONE)
    waiting = asyncio.create_task(stocked.administration.verify(TWO))
    closing = asyncio.create_task(stocked.administration.close())
    for task in (loading, waiting):
        with pytest.raises(UnavailableError, match="shutting down"):
            await task
    await closing
    await stocked.manager.close()
    assert stocked.ask() == TWO  # whoever closes the port decides when nobody asks any more
    assert sorted(stocked.loader.unloads) == [TWO, OTHER]


async def test_a_store_that_cannot_be_read_is_said_to_be_unavailable(stocked: StoreBench) -> None:
    stocked.unmount()
    for act in (stocked.administration.load, stocked.administration.verify):
        with pytest.raises(UnavailableError, match="is not a folder"):
            await act(ONE)
    stocked.mount()
    await stocked.administration.load(ONE)
