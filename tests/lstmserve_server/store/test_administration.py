"""What operators say is done, or refused with a reason and without a trace."""

from __future__ import annotations

import pytest

from lstmserve_server.errors import ModelLoadError, ModelNeededError, ModelNotFoundError
from lstmserve_server.store.directives import Directives
from support.store_bench import StoreBench

ONE, TWO, THREE = (("a", number) for number in (1, 2, 3))
OTHER = ("b", 1)


async def test_a_loaded_version_answers_those_who_name_it(stocked: StoreBench) -> None:
    record = await stocked.administration.load(ONE)
    assert record is stocked.record(ONE)
    assert stocked.ask("a", "1") == ONE
    assert stocked.answering == {OTHER: 1.0, TWO: 1.0, ONE: 0.0}
    stocked.put(THREE)
    await stocked.follow()
    await stocked.until_ended()
    assert stocked.states == {THREE: "ready", TWO: "unloaded", ONE: "ready", OTHER: "ready"}


async def test_an_unloaded_version_stays_so_until_it_is_loaded(stocked: StoreBench) -> None:
    await stocked.administration.unload(TWO)
    assert stocked.ask() == ONE
    await stocked.follow()
    await stocked.until_ended()
    assert stocked.states[TWO] == "unloaded"
    stocked.put(TWO)
    await stocked.follow()
    assert stocked.ask() == ONE
    await stocked.administration.load(TWO)
    assert stocked.ask() == TWO
    await stocked.follow()
    await stocked.until_ended()
    assert stocked.states[ONE] == "unloaded"


async def test_the_next_version_takes_the_place_of_one_that_is_unloaded_first(
    stocked: StoreBench,
) -> None:
    stocked.loader.errors[ONE] = ModelLoadError("spoiled")
    with pytest.raises(ModelNeededError, match="only version of the default model"):
        await stocked.administration.unload(TWO)
    assert stocked.ask() == TWO
    assert stocked.loader.unloads == []
    assert stocked.inventory.directives.rejected == frozenset()
    assert stocked.said == []


async def test_a_model_that_is_not_the_default_may_go_altogether(stocked: StoreBench) -> None:
    await stocked.administration.unload(OTHER)
    assert stocked.answering == {TWO: 1.0}
    with pytest.raises(ModelNotFoundError, match="no version of model 'b' is served"):
        stocked.administration.set_default("b", None)
    await stocked.administration.load(OTHER)
    assert stocked.ask("b") == OTHER


async def test_a_version_that_cannot_be_loaded_is_refused_with_the_reason(
    stocked: StoreBench,
) -> None:
    stocked.loader.errors[ONE] = ModelLoadError("spoiled")
    for _ in range(2):  # each time it is tried
        with pytest.raises(ModelLoadError, match="spoiled"):
            await stocked.administration.load(ONE)
    assert stocked.loader.loads.count(ONE) == 2
    assert stocked.states[ONE] == "failed"
    assert stocked.inventory.directives.requested == frozenset()
    assert stocked.said == []
    stocked.put(ONE)
    await stocked.follow()
    assert stocked.loader.loads.count(ONE) == 2


async def test_a_version_that_was_just_copied_is_loaded_without_waiting_for_the_next_look(
    stocked: StoreBench,
) -> None:
    stocked.put(THREE)
    await stocked.administration.load(THREE)
    assert stocked.ask() == THREE


@pytest.mark.parametrize("version", [("a", 7), ("c", 1)])
async def test_what_the_store_does_not_hold_is_not_found(
    stocked: StoreBench, version: tuple[str, int]
) -> None:
    administration = stocked.administration
    for act in (administration.load, administration.unload, administration.verify):
        with pytest.raises(ModelNotFoundError) as caught:
            await act(version)
        assert caught.value.resource == f"{version[0]}/{version[1]}"
    with pytest.raises(ModelNotFoundError):
        administration.set_default(*version)
    with pytest.raises(ModelNotFoundError):
        administration.set_traffic(version[0], {version[1]: 1})
    assert stocked.said == []


async def test_what_is_served_but_gone_from_the_store_cannot_be_loaded_or_verified(
    stocked: StoreBench,
) -> None:
    stocked.delete(TWO)
    for act in (stocked.administration.load, stocked.administration.verify):
        with pytest.raises(ModelNotFoundError):
            await act(TWO)
    assert stocked.ask() == TWO


async def test_verifying_serves_nothing(stocked: StoreBench) -> None:
    assert (await stocked.administration.verify(ONE)).id == ONE
    stocked.loader.errors[ONE] = ModelLoadError("spoiled")
    with pytest.raises(ModelLoadError, match="spoiled"):
        await stocked.administration.verify(ONE)
    assert stocked.states[ONE] == "unloaded"
    assert stocked.loader.loads == [TWO, OTHER]


async def test_everything_that_was_done_is_told_to_others(stocked: StoreBench) -> None:
    administration = stocked.administration
    await administration.load(ONE)
    administration.set_traffic("a", {1: 1, 2: 1})
    administration.set_default("b", None)
    await administration.unload(TWO)
    expected = Directives().with_requested(ONE)
    told = [expected]
    told.append(told[-1].with_weights("a", {1: 1, 2: 1}))
    told.append(told[-1].with_default_model("b"))
    told.append(told[-1].with_rejected(TWO))
    assert stocked.said == told


async def test_what_others_were_told_is_done_and_not_told_again(stocked: StoreBench) -> None:
    heard = Directives(default_model="b").with_requested(ONE).with_rejected(TWO)
    stocked.administration.apply(heard)
    assert stocked.ask() == OTHER
    await stocked.until_begun(ONE)
    await stocked.follow(1)
    assert stocked.answering == {OTHER: 1.0, ONE: 1.0}
    assert stocked.said == []
