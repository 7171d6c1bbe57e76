"""What operators say is done, or refused with a reason and without a trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from lstmserve_server.errors import ModelLoadError, ModelNeededError, ModelNotFoundError
from lstmserve_server.store.directives import Directives
from support.store_bench import StoreBench

ONE, TWO, THREE = (("a", number) for number in (1, 2, 3))
OTHER = ("b", 1)


@pytest.fixture
async def bench(tmp_path: Path) -> StoreBench:
    """Version 2 of ``a`` answers, and version 1 lies in the store; beside it there is ``b``."""
    bench = StoreBench(tmp_path)
    await bench.start(ONE, TWO, OTHER)
    return bench


async def test_a_loaded_version_answers_those_who_name_it(bench: StoreBench) -> None:
    record = await bench.administration.load(ONE)
    assert record is bench.record(ONE)
    assert bench.ask("a", "1") == ONE
    assert bench.answering == {OTHER: 1.0, TWO: 1.0, ONE: 0.0}
    bench.put(THREE)
    await bench.follow()
    await bench.until_ended()
    assert bench.states == {THREE: "ready", TWO: "unloaded", ONE: "ready", OTHER: "ready"}


async def test_an_unloaded_version_stays_so_until_it_is_loaded(bench: StoreBench) -> None:
    await bench.administration.unload(TWO)
    assert bench.ask() == ONE
    await bench.follow()
    await bench.until_ended()
    assert bench.states[TWO] == "unloaded"
    bench.put(TWO)
    await bench.follow()
    assert bench.ask() == ONE
    await bench.administration.load(TWO)
    assert bench.ask() == TWO
    await bench.follow()
    await bench.until_ended()
    assert bench.states[ONE] == "unloaded"


async def test_the_next_version_takes_the_place_of_one_that_is_unloaded_first(
    bench: StoreBench,
) -> None:
    bench.loader.errors[ONE] = ModelLoadError("spoiled")
    with pytest.raises(ModelNeededError, match="only version of the default model"):
        await bench.administration.unload(TWO)
    assert bench.ask() == TWO
    assert bench.loader.unloads == []
    assert bench.inventory.directives.rejected == frozenset()
    assert bench.said == []


async def test_a_model_that_is_not_the_default_may_go_altogether(bench: StoreBench) -> None:
    await bench.administration.unload(OTHER)
    assert bench.answering == {TWO: 1.0}
    with pytest.raises(ModelNotFoundError, match="no version of model 'b' is served"):
        bench.administration.set_default("b", None)
    await bench.administration.load(OTHER)
    assert bench.ask("b") == OTHER


async def test_a_version_that_cannot_be_loaded_is_refused_with_the_reason(
    bench: StoreBench,
) -> None:
    bench.loader.errors[ONE] = ModelLoadError("spoiled")
    for _ in range(2):  # each time it is tried
        with pytest.raises(ModelLoadError, match="spoiled"):
            await bench.administration.load(ONE)
    assert bench.loader.loads.count(ONE) == 2
    assert bench.states[ONE] == "failed"
    assert bench.inventory.directives.requested == frozenset()
    assert bench.said == []
    bench.put(ONE)
    await bench.follow()
    assert bench.loader.loads.count(ONE) == 2


async def test_a_version_that_was_just_copied_is_loaded_without_waiting_for_the_next_look(
    bench: StoreBench,
) -> None:
    bench.put(THREE)
    await bench.administration.load(THREE)
    assert bench.ask() == THREE


@pytest.mark.parametrize("version", [("a", 7), ("c", 1)])
async def test_what_the_store_does_not_hold_is_not_found(
    bench: StoreBench, version: tuple[str, int]
) -> None:
    administration = bench.administration
    for act in (administration.load, administration.unload, administration.verify):
        with pytest.raises(ModelNotFoundError) as caught:
            await act(version)
        assert caught.value.resource == f"{version[0]}/{version[1]}"
    with pytest.raises(ModelNotFoundError):
        administration.set_default(*version)
    with pytest.raises(ModelNotFoundError):
        administration.set_traffic(version[0], {version[1]: 1})
    assert bench.said == []


async def test_what_is_served_but_gone_from_the_store_cannot_be_loaded_or_verified(
    bench: StoreBench,
) -> None:
    bench.delete(TWO)
    for act in (bench.administration.load, bench.administration.verify):
        with pytest.raises(ModelNotFoundError):
            await act(TWO)
    assert bench.ask() == TWO


async def test_the_default_is_another_version_or_model_at_once(bench: StoreBench) -> None:
    await bench.administration.load(ONE)
    assert bench.administration.set_default("a", 1).id == ONE
    assert bench.ask() == bench.ask("a") == ONE
    assert bench.administration.set_default("b", None).id == OTHER
    assert (bench.ask(), bench.ask("a")) == (OTHER, ONE)
    assert bench.administration.set_default("a", None).id == TWO
    assert bench.ask() == TWO


async def test_a_version_that_is_the_default_stays_when_newer_ones_come(bench: StoreBench) -> None:
    bench.administration.set_default("a", 2)
    bench.put(THREE)
    await bench.follow()
    await bench.until_ended()
    assert bench.answering == {OTHER: 1.0, THREE: 0.0, TWO: 1.0}


@pytest.mark.parametrize("state", ["unloaded", "failed"])
async def test_a_version_that_does_not_answer_cannot_be_the_default_or_have_a_weight(
    bench: StoreBench, state: str
) -> None:
    if state == "failed":
        bench.loader.errors[THREE] = ModelLoadError("spoiled")
        bench.put(THREE)
        await bench.follow()
    number = 3 if state == "failed" else 1
    with pytest.raises(ModelNeededError, match=state):
        bench.administration.set_default("a", number)
    with pytest.raises(ModelNeededError, match=state):
        bench.administration.set_traffic("a", {number: 1, 2: 1})
    bench.administration.set_traffic("a", {number: 0, 2: 1})  # it gets nothing: no harm
    assert bench.ask() == TWO


async def test_traffic_is_dealt_out_and_given_back(bench: StoreBench) -> None:
    await bench.administration.load(ONE)
    assert bench.administration.set_traffic("a", {1: 3, 2: 1}).id == ONE
    assert bench.answering == {OTHER: 1.0, TWO: 0.25, ONE: 0.75}
    bench.administration.set_traffic("a", {})
    assert bench.answering == {OTHER: 1.0, TWO: 1.0, ONE: 0.0}


async def test_a_version_that_is_unloaded_leaves_its_traffic_to_the_others(
    bench: StoreBench,
) -> None:
    await bench.administration.load(ONE)
    bench.administration.set_traffic("a", {1: 1, 2: 3})
    await bench.administration.unload(ONE)
    assert bench.answering == {OTHER: 1.0, TWO: 1.0}
    await bench.administration.load(ONE)
    assert bench.answering == {OTHER: 1.0, TWO: 0.75, ONE: 0.25}


async def test_verifying_serves_nothing(bench: StoreBench) -> None:
    assert (await bench.administration.verify(ONE)).id == ONE
    bench.loader.errors[ONE] = ModelLoadError("spoiled")
    with pytest.raises(ModelLoadError, match="spoiled"):
        await bench.administration.verify(ONE)
    assert bench.states[ONE] == "unloaded"
    assert bench.loader.loads == [TWO, OTHER]


async def test_everything_that_was_done_is_told_to_others(bench: StoreBench) -> None:
    administration = bench.administration
    await administration.load(ONE)
    administration.set_traffic("a", {1: 1, 2: 1})
    administration.set_default("b", None)
    await administration.unload(TWO)
    expected = Directives(default_model="a").with_requested(ONE)
    told = [expected]
    told.append(told[-1].with_weights("a", {1: 1, 2: 1}))
    told.append(told[-1].with_default_model("b"))
    told.append(told[-1].with_rejected(TWO))
    assert bench.said == told


async def test_what_others_were_told_is_done_and_not_told_again(bench: StoreBench) -> None:
    heard = Directives(default_model="b").with_requested(ONE).with_rejected(TWO)
    bench.administration.hear(heard)
    assert bench.ask() == OTHER
    await bench.until_begun(ONE)
    await bench.follow(1)
    assert bench.answering == {OTHER: 1.0, ONE: 1.0}
    assert bench.said == []
