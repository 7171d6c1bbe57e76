"""Which model answers requests that name none: the store says it, and no name or start does."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lstmserve_bundle.store import DEFAULT_NAME, write_default
from lstmserve_server.errors import InvalidRequestError, ModelLoadError, StartupError
from lstmserve_server.store.default_model import DefaultModel, StoreDefault
from lstmserve_server.store.directives import Directives
from lstmserve_server.store.repository import read_store
from support.store_bench import StoreBench
from support.stores import copy_version

A, B, C = ("a", 1), ("b", 1), ("c", 1)


@pytest.fixture
def bench(tmp_path: Path) -> StoreBench:
    return StoreBench(tmp_path)


def refused(bench: StoreBench, field: str = "model") -> str:
    with pytest.raises(InvalidRequestError) as caught:
        bench.ask()
    (violation,) = caught.value.violations
    assert violation.field == field
    return violation.description


def unname(bench: StoreBench) -> None:
    (bench.folder / DEFAULT_NAME).unlink()


def warnings(log: list[MutableMapping[str, Any]]) -> list[str]:
    return [entry["event"] for entry in log if entry["log_level"] == "warning"]


async def test_a_model_that_is_alone_answers_and_goes_on_when_others_come(
    bench: StoreBench, tmp_path: Path
) -> None:
    """One that starts then does not answer by another: it refuses, and says what to do."""
    with capture_logs() as log:
        await bench.start(B)
        assert log == []
        bench.put(A)
        await bench.follow(3)
    assert bench.ask() == B
    assert bench.ask("a") == A
    (warning,) = [entry for entry in log if entry["log_level"] == "warning"]
    assert (warning["default_model"], warning["models"]) == ("b", ["a", "b"])
    assert str(bench.folder / DEFAULT_NAME) in warning["how"]
    later = StoreBench(tmp_path)
    with capture_logs() as log:
        await later.start()
    assert refused(later) == "must name a model, because this server has no default: a, b"
    assert {later.ask("a"), later.ask("b")} == {A, B}
    (warning,) = log
    assert "are refused" in warning["event"]
    assert all(part in warning["how"] for part in (DEFAULT_NAME, "--default-model"))


async def test_a_store_that_names_its_default_has_it_on_every_replica(
    bench: StoreBench, tmp_path: Path
) -> None:
    await bench.start(B, A, C)
    assert bench.ask() == B
    for name, version in (("c", C), ("a", A)):
        write_default(bench.folder, name)
        later = StoreBench(tmp_path)
        with capture_logs() as log:
            await later.start()
            await bench.follow(1)
        assert bench.ask() == later.ask() == version
        assert warnings(log) == []
        assert {entry["default_model"] for entry in log} == {name}
    unname(bench)
    with capture_logs() as log:
        await bench.follow(2)
    assert bench.ask() == A  # nobody has named another
    (warning,) = log
    assert warning["default_model"] == "a"
    assert "still go to the default until now" in warning["event"]  # which was never alone


async def test_a_store_that_names_one_at_last_ends_the_refusals(bench: StoreBench) -> None:
    bench.put(A, B)
    unname(bench)
    await bench.start()
    refused(bench)
    write_default(bench.folder, "b")
    await bench.follow(1)
    assert bench.ask() == B


async def test_a_default_that_cannot_answer_yet_displaces_nothing(bench: StoreBench) -> None:
    await bench.start(A)
    bench.put(B)
    bench.loader.errors[B] = ModelLoadError("spoiled")
    write_default(bench.folder, "b")
    await bench.follow(3)
    assert bench.ask() == A
    bench.loader.errors.clear()
    bench.put(B)
    await bench.follow(3)
    assert bench.ask() == B


@pytest.mark.parametrize("named", ["c", "", "a b"])
async def test_a_bad_name_ends_a_start_and_changes_no_server_that_runs(
    bench: StoreBench, tmp_path: Path, named: str
) -> None:
    await bench.start(B, A)
    (bench.folder / DEFAULT_NAME).write_text(named)
    with capture_logs() as log:
        await bench.follow(3)
    assert bench.ask() == B
    (error,) = [entry for entry in log if entry["log_level"] == "error"]
    assert str(bench.folder / DEFAULT_NAME) in error["reason"]
    with pytest.raises(StartupError, match="--default-model") as caught:
        await StoreBench(tmp_path).start()
    assert str(bench.folder / DEFAULT_NAME) in str(caught.value)
    told = StoreBench(tmp_path, directives=Directives(default_model="a"))
    await told.start()
    assert told.ask() == A


async def test_what_operators_say_stands_above_what_the_store_says(bench: StoreBench) -> None:
    await bench.start(B, A, C)
    bench.administration.set_default("a", None)
    write_default(bench.folder, "c")
    await bench.follow(2)
    assert bench.ask() == A


async def test_without_a_default_any_model_may_be_bad_but_not_all(
    bench: StoreBench, tmp_path: Path
) -> None:
    bench.put(A, B)
    unname(bench)
    bench.loader.errors[A] = ModelLoadError("spoiled")
    await bench.start()
    assert bench.answering == {B: 1.0}
    refused(bench)
    later = StoreBench(tmp_path)
    later.loader.errors = {A: ModelLoadError("spoiled"), B: ModelLoadError("spoiled, too")}
    with pytest.raises(StartupError, match="spoiled"):
        await later.start()


async def test_the_last_of_several_to_stay_becomes_the_default_as_for_who_starts_then(
    bench: StoreBench,
) -> None:
    bench.put(A, B)
    unname(bench)
    await bench.start()
    bench.delete(A)
    await bench.follow(1)
    assert bench.ask() == B


@pytest.mark.parametrize("copy", ["a-copy", "z-copy"])
def test_a_copy_of_a_model_under_another_name_is_no_choice(
    tiny_store: Path, tmp_path: Path, copy: str
) -> None:
    """Its manifest says which model it is, so it could not be served."""
    version = copy_version(tiny_store / "tiny" / "1", tmp_path)
    (tmp_path / copy).mkdir()
    (tmp_path / copy / "1").symlink_to(version)
    stored, _ = read_store(tmp_path)
    assert sorted(stored) == sorted(["tiny", copy])
    store = StoreDefault(tmp_path)
    assert store.find(stored) == store.find(stored, "tiny") == DefaultModel("tiny")
    with capture_logs() as log:
        store.tell(store.find(stored), stored.keys(), chosen="")
    assert log == []
    copy_version(version, tmp_path, "other")
    stored, _ = read_store(tmp_path)
    assert store.find(stored).model == ""
    assert store.find(stored, "tiny") == DefaultModel("tiny", is_lasting=False)
