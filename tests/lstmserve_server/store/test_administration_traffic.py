"""Operators decide who answers requests that name no version."""

from __future__ import annotations

import pytest

from lstmserve_server.errors import ModelLoadError, ModelNeededError
from support.store_bench import StoreBench

ONE, TWO, THREE = (("a", number) for number in (1, 2, 3))
OTHER = ("b", 1)


async def test_the_default_is_another_version_or_model_at_once(stocked: StoreBench) -> None:
    await stocked.administration.load(ONE)
    assert stocked.administration.set_default("a", 1).id == ONE
    assert stocked.ask() == stocked.ask("a") == ONE
    assert stocked.administration.set_default("b", None).id == OTHER
    assert (stocked.ask(), stocked.ask("a")) == (OTHER, ONE)
    assert stocked.administration.set_default("a", None).id == TWO
    assert stocked.ask() == TWO


async def test_a_version_that_is_the_default_stays_when_newer_ones_come(
    stocked: StoreBench,
) -> None:
    stocked.administration.set_default("a", 2)
    stocked.put(THREE)
    await stocked.follow()
    await stocked.until_ended()
    assert stocked.answering == {OTHER: 1.0, THREE: 0.0, TWO: 1.0}


@pytest.mark.parametrize("state", ["unloaded", "failed"])
async def test_a_version_that_does_not_answer_cannot_be_the_default_or_have_a_weight(
    stocked: StoreBench, state: str
) -> None:
    if state == "failed":
        stocked.loader.errors[THREE] = ModelLoadError("spoiled")
        stocked.put(THREE)
        await stocked.follow()
    number = 3 if state == "failed" else 1
    with pytest.raises(ModelNeededError, match=state):
        stocked.administration.set_default("a", number)
    with pytest.raises(ModelNeededError, match=state):
        stocked.administration.set_traffic("a", {number: 1, 2: 1})
    stocked.administration.set_traffic("a", {number: 0, 2: 1})  # it gets nothing: no harm
    assert stocked.ask() == TWO


async def test_traffic_is_dealt_out_and_given_back(stocked: StoreBench) -> None:
    await stocked.administration.load(ONE)
    assert stocked.administration.set_traffic("a", {1: 3, 2: 1}).id == ONE
    assert stocked.answering == {OTHER: 1.0, TWO: 0.25, ONE: 0.75}
    stocked.administration.set_traffic("a", {})
    assert stocked.answering == {OTHER: 1.0, TWO: 1.0, ONE: 0.0}


async def test_a_version_that_is_unloaded_leaves_its_traffic_to_the_others(
    stocked: StoreBench,
) -> None:
    await stocked.administration.load(ONE)
    stocked.administration.set_traffic("a", {1: 1, 2: 3})
    await stocked.administration.unload(ONE)
    assert stocked.answering == {OTHER: 1.0, TWO: 1.0}
    await stocked.administration.load(ONE)
    # loaded again it is for those who name it, as whatever is loaded
    assert stocked.answering == {OTHER: 1.0, TWO: 1.0, ONE: 0.0}
