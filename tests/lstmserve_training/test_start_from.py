"""Training goes on from a published version, also with labels that it did not have."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rich.console import Console

from lstmserve_bundle.tokenizer import Tokenizer
from lstmserve_training.checkpoint import load_best
from lstmserve_training.errors import DataError
from lstmserve_training.importing.published import read_published
from lstmserve_training.recipe.reading import read_recipe
from lstmserve_training.run import Run
from lstmserve_training.tokenizer import add_labels
from support.small_run import write_small_run


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small run that has published a version of two layers."""
    folder = tmp_path_factory.mktemp("first")
    recipe = read_recipe(write_small_run(folder), ["model.layers=2"])
    run = Run(recipe, folder, folder / "runs/faq", Console(quiet=True))
    run.run_all()
    return run


def test_a_version_gives_back_the_weights_it_was_made_of(first: Run) -> None:
    trained = load_best(first.work).model
    found = read_published(first.store / "faq/1").eval()
    tokens = torch.randint(first_tokens(first), (8, 20))
    with torch.no_grad():
        expected, _ = trained(tokens, None)
        logits, _ = found(tokens, None)
    error = (logits - expected)[..., expected[0, 0] > -50].abs().mean()
    assert error < 0.05 * expected.std()


def first_tokens(run: Run) -> int:
    return load_best(run.work).model.config.num_tokens


def test_a_run_begins_where_a_version_has_ended_and_learns_a_label(first: Run) -> None:
    folder = first.folder
    rows = "".join(f"May I see thing {n}?,Look at {n}.,see\n" for n in range(9))
    (folder / "more.csv").write_text((folder / "faq.csv").read_text() + rows)
    keys = [
        "model.layers=2",
        'sources.0.files=["more.csv"]',
        "tokenizer.kind=file",
        "tokenizer.file=model_store/faq/1/tokenizer.json",
        "training.start_from=model_store/faq/1",
        "training.epochs=1",
        "training.learning_rate=1e-9",
    ]
    recipe = read_recipe(folder / "faq.toml", keys)
    run = Run(recipe, folder, folder / "runs/more", Console(quiet=True))
    run.run_all()
    before, after = read_published(first.store / "faq/1"), load_best(run.work).model
    known = before.config.num_tokens
    assert after.config.num_tokens == known + 64
    moved = (after.embedding.weight[:known] - before.embedding.weight).abs().max()
    assert moved < 1e-4
    tokenizer = Tokenizer.from_file(run.work / "tokenizer.json")
    assert tokenizer.special_id("<|intent:see|>") == known


def test_a_tokenizer_keeps_its_ids_when_labels_are_added(first: Run) -> None:
    path = first.work / "tokenizer.json"
    before, after = Tokenizer.from_file(path), Tokenizer(add_labels(path, ["<|intent:new|>"]))
    assert after.num_tokens == before.num_tokens + 64
    text = "Where is my lamp? <|intent:new|>"
    assert after.encode(text) == before.encode(text)
    assert Tokenizer(add_labels(path, ["<|intent:price|>"])).num_tokens == before.num_tokens


def test_what_is_no_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match="training cannot begin with"):
        read_published(tmp_path)


def test_a_version_that_does_not_hold_its_embedding_is_named(tmp_path: Path) -> None:
    recipe = read_recipe(write_small_run(tmp_path), ["model.embedding=64", "training.epochs=1"])
    run = Run(recipe, tmp_path, tmp_path / "runs/faq", Console(quiet=True))
    run.run_all()
    with pytest.raises(DataError, match="its output layer is not its embedding"):
        read_published(run.store / "faq/1")
    keys = ["training.start_from=runs/faq"]
    tied = read_recipe(tmp_path / "faq.toml", keys)
    other = Run(tied, tmp_path, tmp_path / "runs/tied", Console(quiet=True))
    with pytest.raises(DataError, match="take its sizes"):
        other.run_all()
