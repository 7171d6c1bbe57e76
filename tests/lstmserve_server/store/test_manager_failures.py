"""What goes wrong with a version, or with the store, displaces nothing that is good."""

from __future__ import annotations

import pytest

from lstmserve_server.errors import ModelLoadError, ModelTrialError, StartupError
from lstmserve_server.store.manager import RETRY_SECONDS
from support.store_bench import StoreBench

ONE, TWO, THREE = (("a", number) for number in (1, 2, 3))


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
