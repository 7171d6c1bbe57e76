"""A run skips what has not changed, says what has, and goes on where it was killed."""

from __future__ import annotations

import fcntl
import io
import signal
from pathlib import Path

import pytest
from rich.console import Console

from lstmserve_bundle import open_bundle
from lstmserve_training.checkpoint import load_best
from lstmserve_training.errors import DataError, TrainingError
from lstmserve_training.recipe.reading import read_recipe
from lstmserve_training.run import Run, locked
from lstmserve_training.steps import PREPARE, TRAIN
from support.killed_run import run_and_be_killed
from support.small_run import write_small_run


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return write_small_run(tmp_path)


def run(recipe: Path, *overrides: str) -> str:
    """Take all steps; return what was said."""
    console = Console(file=io.StringIO(), width=200)
    read = read_recipe(recipe, overrides)
    Run(read, recipe.parent, recipe.parent / "runs" / "faq", console, device="cpu").run_all()
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def taken(said: str) -> list[str]:
    """The steps that were taken."""
    return [line.removesuffix(": …") for line in said.splitlines() if line.endswith(": …")]


def versions(recipe: Path) -> list[str]:
    return sorted(path.name for path in (recipe.parent / "model_store" / "faq").glob("[0-9]*"))


def test_a_changed_key_is_named_and_only_what_depends_on_it_is_done_again(recipe: Path) -> None:
    assert taken(run(recipe)) == ["prepare", "train", "quantize", "evaluate", "publish"]
    assert taken(run(recipe)) == []

    said = run(recipe, "training.checkpoint_minutes=9", "evaluation.replies=2")
    assert "evaluate: evaluation.replies: 3 -> 2" in said
    assert taken(said) == ["evaluate", "publish"]

    said = run(recipe, "evaluation.replies=2", "license=MIT", "sources.0.origin=the shop")
    assert 'publish: license: "proprietary" -> "MIT"' in said
    assert taken(said) == ["publish"]
    assert versions(recipe) == ["1", "2", "3"]
    newest = open_bundle(recipe.parent / "model_store" / "faq" / "3").manifest
    assert (newest.license, newest.training.data[0].source) == ("MIT", "the shop")


def test_other_settings_train_anew_and_lose_no_weights(recipe: Path) -> None:
    run(recipe)
    work = recipe.parent / "runs" / "faq"
    before = (work / "best.pt").read_bytes()
    said = run(recipe, "training.epochs=3")
    assert "train: training.epochs: 2 -> 3" in said
    assert "train: training begins anew" in said
    assert f"the weights so far are kept in {work / 'old-1'}" in said
    assert (work / "old-1" / "best.pt").read_bytes() == before
    assert taken(said) == ["train", "quantize", "evaluate", "publish"]


def test_changed_data_is_noticed(recipe: Path) -> None:
    run(recipe)
    with (recipe.parent / "faq.csv").open("a") as file:
        file.write("Do you sell tea?,We do.,price\n")
    said = run(recipe)
    assert "prepare: faq.csv has changed" in said
    assert "train: corpus.pt has changed" in said
    assert taken(said) == ["prepare", "train", "quantize", "evaluate", "publish"]


def test_a_file_that_was_lost_is_made_again(recipe: Path) -> None:
    run(recipe)
    work = recipe.parent / "runs" / "faq"
    (work / "model.pt").unlink()
    (work / "prompts.json").write_text("[]")
    assert taken(run(recipe))[:2] == ["prepare", "quantize"]


def test_a_version_that_was_removed_is_published_again(recipe: Path) -> None:
    run(recipe)
    version = recipe.parent / "model_store" / "faq" / "1"
    version.rename(recipe.parent / "moved")
    assert taken(run(recipe)) == ["publish"]
    assert version.is_dir()


def test_a_run_that_was_killed_before_it_noted_its_version_takes_it(recipe: Path) -> None:
    run(recipe)
    work = recipe.parent / "runs" / "faq"
    published = (work / "published.json").read_text()
    for left in ("", '{"name"'):  # nothing of it, or a part
        (work / "published.json").write_text(left)
        assert "that was done before it was interrupted" in run(recipe)
        assert (work / "published.json").read_text() == published
    assert versions(recipe) == ["1"]


def test_only_one_process_works_in_a_folder(tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(TrainingError, match="another lstmserve-train works in this folder"):
            locked(tmp_path).__enter__()
    with pytest.raises(TrainingError, match="interrupted; the same command goes on"):
        interrupt(tmp_path)


def interrupt(folder: Path) -> None:
    with locked(folder):
        raise KeyboardInterrupt


def test_a_record_that_cannot_be_read_is_named(recipe: Path) -> None:
    work = recipe.parent / "runs" / "faq"
    work.mkdir(parents=True)
    (work / "steps.json").write_text('{"train": 3}')
    with pytest.raises(DataError, match=r"steps\.json cannot be read .*: remove it"):
        run(recipe)


def test_a_run_that_is_killed_five_times_ends_with_the_same_weights(tmp_path: Path) -> None:
    """By SIGKILL, in the middle of epochs; a checkpoint is written after every batch."""
    whole, cut = (write_small_run(tmp_path / name) for name in ("whole", "cut"))
    override = "training.checkpoint_minutes=1e-9"
    run(whole, override)
    lives = (1, 2, 2, 1, 3)
    ends = [run_and_be_killed(cut, override, batches) for batches in lives]
    assert ends == [-signal.SIGKILL] * 5
    assert run_and_be_killed(cut, override, 1000) == 0
    first, second = (
        load_best(path.parent / "runs" / "faq").model.state_dict() for path in (whole, cut)
    )
    assert all(first[name].equal(second[name]) for name in first)
    assert versions(cut) == ["1"]


def test_a_run_that_ends_early_says_why(recipe: Path) -> None:
    said = run(recipe, "training.epochs=9", "training.patience=1", "training.learning_rate=0.5")
    assert "ended early, as held-out text gained nothing for 1 epochs" in said


def test_more_labels_than_there_is_room_for_are_told(recipe: Path) -> None:
    rows = "".join(f"question {n},answer,label {n}\n" for n in range(90))
    rows += "".join(f"what {n},answer,label 1\n" for n in range(40))
    (recipe.parent / "faq.csv").write_text(f"Question,Answer,Topic\n{rows}")
    with pytest.raises(DataError, match=r"vocabulary = 320 has no room for \d+ labels"):
        run(recipe)


def test_a_vocabulary_larger_than_the_text_gives_is_told(recipe: Path) -> None:
    said = run(recipe, "tokenizer.vocabulary=9000")
    assert "the text gives no more, though tokenizer.vocabulary is 9,000" in said


def test_steps_know_what_they_depend_on(recipe: Path) -> None:
    read = read_recipe(recipe)
    assert "label_weight" in PREPARE.keys(read)["training"]
    assert "label_weight" not in TRAIN.keys(read)["training"]
