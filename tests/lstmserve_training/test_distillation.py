"""A network learns from what another one thinks may follow."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from rich.console import Console

from benchmarks.families.versions import make_network
from lstmserve_bundle import open_bundle
from lstmserve_training.checkpoint import load_best
from lstmserve_training.distillation import Teacher, find_teacher
from lstmserve_training.documents import collate, load_corpus
from lstmserve_training.errors import TrainingError
from lstmserve_training.recipe.reading import read_recipe
from lstmserve_training.recipe.sections import Distillation
from lstmserve_training.run import Run
from lstmserve_training.stacked import StackedLstm
from lstmserve_training.work import BEST_NAME, CORPUS_NAME
from support.small_run import write_small_run

NUM_TOKENS = 64
CPU = torch.device("cpu")
WEIGHTS = torch.ones(3, 20)


def draw_tokens() -> torch.Tensor:
    return torch.randint(NUM_TOKENS, (3, 20), generator=torch.Generator().manual_seed(2))


def make_teacher(model: StackedLstm, **keys: float) -> Teacher:
    teacher = Teacher(model, Distillation(teacher="there", **keys), CPU)
    teacher.begin(3)
    return teacher


@torch.no_grad()
def test_who_thinks_like_the_teacher_has_nothing_to_learn() -> None:
    model, tokens = make_network("stacked", NUM_TOKENS), draw_tokens()
    logits, _ = model(tokens, None)
    teacher = make_teacher(model)
    parts = [
        float(teacher.cost(tokens[:, part], logits[:, part], WEIGHTS[:, part]))
        for part in (slice(0, 8), slice(8, 20))  # the teacher remembers the first
    ]
    assert parts == pytest.approx([0, 0], abs=1e-5)
    forgetful = make_teacher(model)
    assert float(forgetful.cost(tokens[:, 8:], logits[:, 8:], WEIGHTS[:, 8:])) > 1e-3


@torch.no_grad()
def test_tokens_of_no_weight_count_nothing_and_the_temperature_keeps_the_size() -> None:
    model, tokens = make_network("stacked", NUM_TOKENS), draw_tokens()
    logits = torch.randn(3, 20, NUM_TOKENS)
    weights = WEIGHTS.clone()
    weights[:, 10:] = 0
    halved = float(make_teacher(model).cost(tokens, logits, weights))
    first = float(make_teacher(model).cost(tokens[:, :10], logits[:, :10], WEIGHTS[:, :10]))
    assert halved == pytest.approx(first, rel=1e-5)
    hot, hotter = (
        float(make_teacher(model, temperature=t).cost(tokens, logits, WEIGHTS)) for t in (10, 20)
    )
    assert hot == pytest.approx(hotter, rel=0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run has ended whose model may teach."""
    folder = tmp_path_factory.mktemp("taught")
    recipe = read_recipe(write_small_run(folder), ["training.epochs=12"])
    Run(recipe, folder, folder / "runs/faq", Console(quiet=True)).run_all()
    return folder


def run(folder: Path, name: str, *keys: str) -> Run:
    recipe = read_recipe(folder / "faq.toml", ["training.epochs=12", *keys])
    made = Run(recipe, folder, folder / "runs" / name, Console(quiet=True))
    made.run_all()
    return made


def far_from_teacher(folder: Path, made: Run) -> float:
    """How far the trained model is from the teacher's on the text that both were trained on."""
    own, teacher = load_best(made.work).model, load_best(folder / "runs/faq").model
    batch = collate(load_corpus(made.work / CORPUS_NAME).common[0].documents)
    judge = Teacher(teacher, Distillation(teacher="faq"), CPU)
    judge.begin(len(batch.token_ids))
    with torch.no_grad():
        logits, _ = own(batch.token_ids, None)
        return float(judge.cost(batch.token_ids, logits, batch.weights))


@pytest.mark.parametrize("teacher", ["runs/faq", "model_store/faq/1", "faq/1"])
def test_a_student_of_another_family_comes_nearer_to_its_teacher(
    folder: Path, teacher: str
) -> None:
    small = ["model.family=projected", "model.hidden=128", "model.projection=64"]
    alone = run(folder, "alone", *small)
    taught = run(
        folder, "taught", *small, f"distillation.teacher={teacher}", "distillation.share=1"
    )
    assert far_from_teacher(folder, taught) < 0.5 * far_from_teacher(folder, alone)
    latest = max((folder / "model_store/faq").glob("[0-9]*"), key=lambda path: int(path.name))
    facts = open_bundle(latest).manifest.training.facts
    assert facts["distillation.share"] == 1
    assert facts["distillation.teacher"] == teacher


def test_a_version_of_any_family_teaches_by_the_run_that_made_it(folder: Path) -> None:
    small = ["model.family=projected", "model.hidden=128", "model.projection=64"]
    run(folder, "shown", *small, "training.epochs=1")
    latest = max(int(path.name) for path in (folder / "model_store/faq").glob("[0-9]*"))
    recipe = read_recipe(folder / "faq.toml", [f"distillation.teacher=faq/{latest}"])
    assert find_teacher(recipe, folder) == folder / "runs/shown"
    run(folder, "learned", f"distillation.teacher=faq/{latest}", "training.epochs=1")
    assert (folder / "runs/learned" / BEST_NAME).is_file()


@pytest.mark.parametrize(
    ("teacher", "keys", "said"),
    [
        ("nowhere", (), "nowhere"),
        ("runs/faq", ("tokenizer.vocabulary=384",), "has other tokens than this run"),
    ],
)
def test_a_teacher_that_cannot_be_is_named(
    folder: Path, teacher: str, keys: tuple[str, ...], said: str
) -> None:
    with pytest.raises(TrainingError, match=said):
        run(folder, "refused", f"distillation.teacher={teacher}", *keys)


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["distillation.teacher=runs/kept"], "distillation.teacher: .* is this run itself"),
        (["training.start_from=runs/kept"], "training.start_from: .* is this run itself"),
        (["distillation.teacher=runs/other"], "has other tokens than this run"),
        (["distillation.teacher=projected/1"], "name the folder of the run that made it"),
    ],
)
def test_who_names_a_model_that_cannot_be_keeps_the_weights_in_place(
    folder: Path, others: None, keys: list[str], said: str, *, resume: bool
) -> None:
    run(folder, "kept", "training.epochs=1")
    recipe = read_recipe(folder / "faq.toml", keys)
    again = Run(recipe, folder, folder / "runs/kept", Console(quiet=True))
    before = (again.work / BEST_NAME).read_bytes()
    with pytest.raises(TrainingError, match=said):
        again.run_all() if resume else again.set_weights_aside()
    assert (again.work / BEST_NAME).read_bytes() == before
    assert not [*again.work.glob("old-*")]


@pytest.fixture(scope="module")
def others(folder: Path) -> None:
    """A run with other tokens, and a version of whose weights only bytes are left."""
    run(folder, "other", "name=other", "training.epochs=1", "tokenizer.vocabulary=384")
    of_family = ["model.family=projected", "model.hidden=128", "model.projection=64", "seed=9"]
    shutil.rmtree(run(folder, "projected", "name=projected", "training.epochs=1", *of_family).work)
