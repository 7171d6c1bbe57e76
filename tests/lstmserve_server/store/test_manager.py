"""Versions come and go beside each other, and somebody always answers."""

from __future__ import annotations

import asyncio

import pytest

from lstmserve_server.errors import (
    ModelLoadError,
    ModelLoadingError,
    ModelNotFoundError,
    UnavailableError,
)
from lstmserve_server.store.directives import Directives
from support.store_bench import StoreBench

ONE, TWO = ("a", 1), ("a", 2)
OTHER = ("b", 1)


async def test_a_new_version_answers_once_it_is_loaded_and_the_old_one_ends(
    bench: StoreBench,
) -> None:
    await bench.start(ONE)
    bench.put(TWO)
    lock = bench.loader.hold(TWO)
    following = asyncio.create_task(bench.follow())
    await bench.until_begun(TWO)
    assert bench.states == {TWO: "loading", ONE: "ready"}
    assert bench.ask() == ONE
    with pytest.raises(ModelLoadingError, match="version 2 is loading"):
        bench.ask("a", "2")
    lock.set()
    await following
    assert bench.ask() == TWO
    with pytest.raises(ModelNotFoundError, match="served are: 2"):
        bench.ask("a", "1")
    await bench.until_ended()
    assert bench.states == {TWO: "ready", ONE: "unloaded"}
    assert bench.loader.unloads == bench.log.unloaded == [ONE]
    assert bench.log.states[ONE] == ["unloaded", "loading", "ready", "unloading", "unloaded"]
    assert bench.answering == {TWO: 1.0}


async def test_a_version_is_unloaded_when_the_last_reply_on_it_has_ended(
    bench: StoreBench,
) -> None:
    await bench.start(ONE)
    gate = bench.catalog.resolve("", "").gate
    with gate.enter():
        with gate.enter():
            bench.put(TWO)
            await bench.follow()
        await bench.follow()
        assert bench.states[ONE] == "unloading"
        assert bench.loader.unloads == []
        with pytest.raises(UnavailableError), gate.enter():
            pass
    await bench.until_ended()
    assert bench.loader.unloads == [ONE]
    assert bench.record(ONE).served is None


async def test_a_version_that_is_wanted_again_before_it_has_ended_goes_on(
    bench: StoreBench,
) -> None:
    await bench.start(ONE)
    model = bench.catalog.resolve("", "")
    with model.gate.enter():
        bench.put(TWO)
        await bench.follow()
        bench.manager.direct(Directives().with_requested(ONE))
        await bench.follow()
        assert bench.answering == {TWO: 1.0, ONE: 0.0}
        assert bench.catalog.resolve("a", "1") is model
        with model.gate.enter():
            pass
    assert bench.loader.log == [("load", ONE), ("load", TWO)]
    assert bench.manager._endings == {}
    assert bench.log.states[ONE][-2:] == ["unloading", "ready"]


async def test_a_version_that_is_wanted_again_too_late_is_loaded_again(bench: StoreBench) -> None:
    await bench.start(ONE)
    bench.put(TWO)
    lock = bench.loader.hold(ONE)
    await bench.follow()
    await bench.until_begun(ONE)  # its unloading
    bench.manager.direct(Directives().with_requested(ONE))
    following = asyncio.create_task(bench.follow())
    await bench.until_begun(ONE)  # its loading
    assert bench.ask("a") == TWO
    lock.set()
    await following
    assert bench.states == {TWO: "ready", ONE: "ready"}
    assert bench.loader.loads == [ONE, TWO, ONE]
    assert bench.log.unloaded == [ONE]


async def test_what_is_wanted_again_while_it_is_unloaded_is_unloaded_all_the_same(
    bench: StoreBench,
) -> None:
    await bench.start(ONE)
    bench.put(TWO)
    lock = bench.loader.hold(ONE)
    await bench.follow()
    await bench.until_begun(ONE)  # its unloading
    bench.manager.direct(Directives().with_requested(ONE))
    following = asyncio.create_task(bench.follow())
    await bench.until_begun(ONE)  # its loading
    lock.set()
    await following
    assert bench.loader.finished == [("load", ONE), ("load", TWO), ("unload", ONE), ("load", ONE)]


async def test_another_model_that_comes_does_not_take_the_default_models_place(
    bench: StoreBench,
) -> None:
    await bench.start(OTHER)
    bench.put(ONE)
    bench.loader.errors[ONE] = ModelLoadError("why")
    for _ in range(3):
        await bench.follow(1)
        assert bench.ask() == OTHER
    bench.loader.errors.clear()
    bench.put(ONE)
    await bench.follow()
    assert bench.ask("a") == ONE
    assert bench.ask() == OTHER


async def test_closing_ends_all_engines_also_those_with_replies(bench: StoreBench) -> None:
    await bench.start(ONE, OTHER)
    with bench.catalog.resolve("a", "").gate.enter():
        bench.put(TWO)
        await bench.follow()
        await bench.manager.close()
    assert sorted(bench.loader.unloads) == [ONE, TWO, OTHER]


async def test_what_is_deleted_gives_way_to_what_is_there_and_to_nothing_else(
    stocked: StoreBench,
) -> None:
    stocked.delete(("a", 2))
    await stocked.follow()
    await stocked.until_ended()
    assert stocked.answering == {("a", 1): 1.0, ("b", 1): 1.0}
    assert ("a", 2) not in stocked.states
    stocked.delete(("a", 1))
    await stocked.follow()
    assert stocked.answering == {("a", 1): 1.0, ("b", 1): 1.0}
    assert "no longer holds it" in stocked.record(("a", 1)).reason
