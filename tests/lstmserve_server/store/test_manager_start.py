"""What a server needs in order to start, and what it says otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from lstmserve_server.errors import ModelLoadError, StartupError
from lstmserve_server.store.directives import Directives
from support.store_bench import StoreBench

ONE, TWO, OTHER = ("a", 1), ("a", 2), ("b", 1)


async def refused(bench: StoreBench) -> str:
    with pytest.raises(StartupError) as caught:
        await bench.manager.start()
    return str(caught.value)


async def test_an_unknown_default_model_is_named_with_those_there_are(tmp_path: Path) -> None:
    bench = StoreBench(tmp_path, directives=Directives(default_model="c"))
    bench.put(ONE, OTHER)
    said = await refused(bench)
    assert all(part in said for part in ("--default-model", "'c'", "a, b"))
    assert bench.loader.log == []


async def test_a_default_model_without_a_good_version_ends_the_start_with_the_reason(
    tmp_path: Path,
) -> None:
    bench = StoreBench(tmp_path)
    bench.put(ONE, OTHER)
    bench.loader.errors[ONE] = ModelLoadError("spoiled")
    assert await refused(bench) == "spoiled"


async def test_another_model_without_a_good_version_does_not(tmp_path: Path) -> None:
    bench = StoreBench(tmp_path)
    bench.loader.errors[OTHER] = ModelLoadError("spoiled")
    await bench.start(ONE, OTHER)
    assert bench.states == {ONE: "ready", OTHER: "failed"}


async def test_a_policy_that_serves_nothing_of_the_default_model_is_named(tmp_path: Path) -> None:
    bench = StoreBench(tmp_path, policy="7,8")
    bench.put(ONE, TWO)
    said = await refused(bench)
    assert all(part in said for part in ("--version-policy", "'a'", "a 2, a 1"))


async def test_what_was_there_before_the_server_need_not_settle(tmp_path: Path) -> None:
    bench = StoreBench(tmp_path, policy="all")
    await bench.start(ONE, TWO, OTHER)
    assert bench.answering == {TWO: 1.0, ONE: 0.0, OTHER: 1.0}


async def test_only_a_version_that_is_alone_is_loaded_without_a_trial(tmp_path: Path) -> None:
    bench = StoreBench(tmp_path)
    await bench.start(ONE)
    assert bench.loader.untried == [ONE]
    bench.put(TWO)
    await bench.follow()
    assert bench.loader.loads == [ONE, TWO]
    assert bench.loader.untried == [ONE]


async def test_a_start_has_all_tried_where_there_is_a_choice(tmp_path: Path) -> None:
    bench = StoreBench(tmp_path)
    await bench.start(ONE, OTHER)
    assert bench.loader.loads == [ONE, OTHER]
    assert bench.loader.untried == []
