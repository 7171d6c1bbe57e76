"""A version with a classifier that was trained anew, and all else as it was."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lstmserve_bundle import Turn, open_bundle
from lstmserve_bundle.classifier_file import CLASSIFIER_NAME
from lstmserve_training.cli import app
from lstmserve_training.errors import TrainingError
from support.understanding import HELLO, LABELS, TRACK, make_understanding_store

THINGS = ("lamp", "kettle", "chair", "jacket", "phone", "table", "clock", "carpet", "mirror", "bag")
ASKED = {
    "track_order": ("where is my {}", "when does the {} come"),
    "say_hello": ("hello, I have a {}", "good morning to the {}"),
    "give_praise": ("the {} is lovely", "I like my {} a lot"),
}
RECIPE = """
name = "other"
kind = "replies"
license = "MIT"
label_name = "intent"

[[sources]]
name = "asked"
files = ["asked.csv"]
columns = { prompt = "text", label = "label" }

[classifier]
out_of_scope = ["give_praise"]
epochs = 8
rows = 8
width = 16
ngrams = 1000
held_out = 0.2

[[classifier.sources]]
name = "asked"
license = "MIT"
files = ["asked.csv"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [
        (text.format(thing), label)
        for label, texts in ASKED.items()
        for text in texts
        for thing in THINGS
    ]
    with (tmp_path / "asked.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    (tmp_path / "other.toml").write_text(RECIPE)
    return tmp_path


def make(folder: Path, store: Path, *overrides: str) -> str:
    """Run the verb; raises what it raises."""
    arguments = ["--from", "tiny/1", "--recipe", str(folder / "other.toml"), "--store", str(store)]
    result = CliRunner().invoke(app, ["classifier", *arguments, *overrides])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_the_next_version_names_what_its_new_classifier_learned(
    tiny_store: Path, folder: Path
) -> None:
    store = make_understanding_store(tiny_store / "tiny" / "1", folder / "store")
    assert "published" in make(folder, store)
    before, after = (open_bundle(store / "tiny" / version) for version in ("1", "2"))
    classifier = after.read_classifier()
    assert classifier is not None
    assert set(classifier.labels) == set(LABELS)
    assert classifier.classify([Turn("user", "where is my new sofa")]).label == TRACK
    assert classifier.classify([Turn("user", "hello, good morning")]).label == HELLO
    same = before.manifest.files.keys() - {CLASSIFIER_NAME}
    assert all(before.manifest.files[name] == after.manifest.files[name] for name in same)
    assert before.manifest.files[CLASSIFIER_NAME] != after.manifest.files[CLASSIFIER_NAME]
    facts = after.manifest.training.facts
    assert facts["classifier_over"] == "tiny/1"
    assert facts["classifier_recipe"] == "lstmserve-train run other.toml"
    assert after.manifest.evaluation["classifier_questions_held_out"] == 12
    assert [each.use for each in after.manifest.training.data][
        -1
    ] == "classifier: training, 60 rows"


def test_what_was_told_of_the_former_classifier_goes_and_a_trained_one_is_taken_again(
    tiny_store: Path, folder: Path
) -> None:
    store = make_understanding_store(tiny_store / "tiny" / "1", folder / "store")
    make(folder, store)
    assert "unchanged, skipped" in make(folder, store, "classifier.epochs=8")
    make(folder, store, "classifier.epochs=2")
    data = open_bundle(store / "tiny" / "4").manifest.training.data
    assert [each.name for each in data if each.use.startswith("classifier: ")] == ["asked"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {'label_name = "intent"': 'label_name = "topic"'},
            "neither a token nor answers for topic:",
        ),
        ({"[classifier]": "[other]"}, r"other|\[classifier\]"),
        ({"tiny/1": "tiny/7"}, "tiny/7"),
    ],
)
def test_what_does_not_fit_is_refused(
    tiny_store: Path, folder: Path, changes: dict[str, str], reason: str
) -> None:
    store = make_understanding_store(tiny_store / "tiny" / "1", folder / "store")
    text, source = RECIPE, "tiny/1"
    for old, new in changes.items():
        text, source = text.replace(old, new), source.replace(old, new)
    (folder / "other.toml").write_text(text)
    arguments = ["--from", source, "--recipe", str(folder / "other.toml"), "--store", str(store)]
    result = CliRunner().invoke(app, ["classifier", *arguments])
    assert isinstance(result.exception, TrainingError)
    with pytest.raises(TrainingError, match=reason):
        raise result.exception
    assert not (store / "tiny" / "2").exists()
