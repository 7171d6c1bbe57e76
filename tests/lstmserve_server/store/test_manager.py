"""Versions come and go beside each other, and somebody always answers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lstmserve_server.errors import (
    ModelLoadError,
    ModelLoadingError,
    ModelNotFoundError,
    ModelTrialError,
    StartupError,
    UnavailableError,
)
from lstmserve_server.store.directives import Directives
from lstmserve_server.store.manager import RETRY_SECONDS
from support.store_bench import StoreBench

ONE, TWO, THREE = (("a", number) for number in (1, 2, 3))
OTHER = ("b", 1)


@pytest.fixture
def bench(tmp_path: Path) -> StoreBench:
    return StoreBench(tmp_path)


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
    with pytest.raises(ModelNotFoundError, match="these are served: 2"):
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


@pytest.mark.parametrize("error", [ModelLoadError("why"), ModelTrialError("why")])
async def test_a_bad_version_changes_nothing_but_what_is_said_of_it(
    bench: StoreBench, error: ModelLoadError
) -> None:
    await bench.start(ONE)
    bench.put(TWO)
    bench.loader.errors[TWO] = error
    await bench.follow(5)
    assert bench.loader.loads == [ONE, TWO]
    assert bench.states == {TWO: "failed", ONE: "ready"}
    assert bench.record(TWO).reason == bench.log.reasons[TWO] == "why"
    assert bench.log.loads[-1] == (TWO, 0.0, False)
    assert bench.answering == {ONE: 1.0}


async def test_a_bad_version_is_loaded_once_it_is_mended(bench: StoreBench) -> None:
    bench.loader.errors[TWO] = ModelLoadError("why")
    await bench.start(ONE, TWO)
    assert bench.ask() == ONE
    bench.loader.errors.clear()
    await bench.follow()
    assert bench.ask() == ONE
    bench.put(TWO)
    await bench.follow()
    assert bench.ask() == TWO
    assert bench.record(TWO).reason == ""


async def test_only_what_failed_in_passing_is_tried_again_after_a_while(bench: StoreBench) -> None:
    bench.loader.errors = {TWO: ModelTrialError("crashed"), THREE: ModelLoadError("spoiled")}
    await bench.start(ONE, TWO, THREE)
    bench.loader.errors.clear()
    bench.now += RETRY_SECONDS - 1
    await bench.follow()
    assert bench.loader.loads == [THREE, TWO, ONE]
    bench.now += 1
    await bench.follow(1)
    assert bench.loader.loads == [THREE, TWO, ONE, TWO]
    assert bench.ask() == TWO


async def test_a_bug_is_raised_and_keeps_the_version_back_for_a_while(bench: StoreBench) -> None:
    await bench.start(ONE)
    bench.put(TWO)
    bench.loader.errors[TWO] = ZeroDivisionError("why")
    await bench.follow(1)
    with pytest.raises(ZeroDivisionError):
        await bench.follow(1)
    await bench.follow(3)
    assert bench.loader.loads == [ONE, TWO]
    assert bench.states == {TWO: "failed", ONE: "ready"}
    assert "ZeroDivisionError('why')" in bench.record(TWO).reason


async def test_a_store_that_cannot_be_read_changes_nothing(bench: StoreBench) -> None:
    await bench.start(ONE)
    bench.unmount()
    with pytest.raises(StartupError, match="is not a folder"):
        await bench.follow()
    assert bench.answering == {ONE: 1.0}
    bench.mount()
    await bench.follow()
    assert bench.states == {ONE: "ready"}
    assert bench.record(ONE).reason == ""
    assert bench.loader.loads == [ONE]


async def test_what_is_gone_from_the_store_and_not_served_is_known_no_more(
    bench: StoreBench,
) -> None:
    await bench.start(ONE, TWO)
    bench.delete(ONE)
    await bench.follow(1)
    assert bench.states == {TWO: "ready"}
    assert bench.log.states[ONE] == ["unloaded", "gone"]
    bench.delete(TWO)
    bench.put(THREE)
    await bench.follow()
    await bench.until_ended()
    assert bench.states == {THREE: "ready"}
    assert bench.log.states[TWO][-2:] == ["unloaded", "gone"]


async def test_another_model_that_comes_does_not_take_the_default_models_place(
    tmp_path: Path,
) -> None:
    bench = StoreBench(tmp_path)
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
