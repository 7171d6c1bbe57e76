"""A classifier is trained by a recipe, and knows what it does not know."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path

import pytest
from rich.console import Console

from lstmserve_bundle import Classification, Classifier, Turn, open_bundle
from lstmserve_bundle.classifier_file import CLASSIFIER_NAME
from lstmserve_training.classifying.calibrating import calibrate
from lstmserve_training.classifying.export import export
from lstmserve_training.classifying.fitting import Fitting
from lstmserve_training.classifying.measuring import Answered, auroc, calibration_error, confusions
from lstmserve_training.classifying.network import hash_blocks, index_blocks
from lstmserve_training.classifying.questions import Question, Questions, read_questions
from lstmserve_training.classifying.report import show_report
from lstmserve_training.classifying.step import classify
from lstmserve_training.classifying.variation import Variation
from lstmserve_training.errors import DataError, PublishError, RecipeError
from lstmserve_training.recipe.reading import read_recipe
from lstmserve_training.recipe.schema import Recipe
from lstmserve_training.run import Run
from support.classifiers import make_file
from support.small_run import write_small_run

THINGS = ("lamp", "kettle", "chair", "jacket", "phone", "table", "clock", "carpet", "mirror", "bag")
ASKED = {
    "cancel": ("cancel my {}", "please cancel the order of a {}", "I do not want the {} any more"),
    "track": ("where is my {}", "when does the {} arrive", "track the parcel with my {}"),
    "other": (
        "who invented the {}",
        "write a poem about a {}",
        "what is the price of a {} on mars",
    ),
}
RECIPE = """
name = "shop"
kind = "replies"
license = "MIT"

[[sources]]
name = "replies"
files = ["asked.csv"]
columns = { prompt = "text", label = "label" }

[augmentation]
typos = 0.2
greetings = ["hi"]

[classifier]
out_of_scope = ["other"]
epochs = 12
rows = 8
width = 16
ngrams = 2000
held_out = 0.2

[[classifier.sources]]
name = "asked"
license = "MIT"
files = ["asked.csv"]

[[classifier.sources]]
name = "conversations"
files = ["conversations.jsonl"]
columns = { turns = "turns", label = "label" }

[[classifier.sources]]
name = "new questions"
use = "questions"
files = ["new.csv"]
"""
NEW = {
    "cancel": ("cancel my sofa", "please cancel the order of this pen"),
    "track": ("where is the parcel", "when does my pen arrive"),
    "other": ("who invented paper", "write a song about a horse"),
}


def write_rows(path: Path, rows: list[tuple[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])


def write_data(folder: Path) -> None:
    rows = [
        (text.format(thing), label)
        for label, texts in ASKED.items()
        for text in texts
        for thing in THINGS
    ]
    write_rows(folder / "asked.csv", rows)
    new = [(text, label) for label, texts in NEW.items() for text in texts]
    write_rows(folder / "new.csv", new)
    with (folder / "conversations.jsonl").open("w", encoding="utf-8") as file:
        for text, label in rows:
            turns = [("user", text), ("agent", "Which number is it?"), ("customer", "it is 4821")]
            listed = [{"role": role, "content": content} for role, content in turns]
            file.write(json.dumps({"turns": listed, "label": label}) + "\n")


def read(folder: Path, text: str = RECIPE, *overrides: str) -> Recipe:
    (folder / "shop.toml").write_text(text, encoding="utf-8")
    return read_recipe(folder / "shop.toml", overrides)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("shop")
    write_data(found)
    return found


@pytest.fixture(scope="module")
def said(folder: Path) -> str:
    """The classifier is in ``folder / "run"``; what was said of it."""
    recipe = read(folder)
    assert recipe.classifier is not None
    console = Console(file=io.StringIO(), width=200)
    report = classify(recipe, recipe.classifier, folder, folder / "run", console.print)
    show_report(report, console)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def classifier(folder: Path, said: str) -> Classifier:
    assert said
    return Classifier.read(folder / "run" / CLASSIFIER_NAME)


def ask(classifier: Classifier, *texts: str) -> Classification:
    return classifier.classify([Turn(("user", "agent")[n % 2], t) for n, t in enumerate(texts)])


@pytest.mark.parametrize("label", NEW)
def test_new_questions_are_named(classifier: Classifier, label: str) -> None:
    for text in NEW[label]:
        for version in (text, text.upper(), f"Hi, {text}!"):
            assert ask(classifier, version).label == f"intent:{label}"


def test_what_is_out_of_scope_is_less_likely_in_it(classifier: Classifier) -> None:
    inside = [ask(classifier, text).in_scope_probability for text in NEW["cancel"] + NEW["track"]]
    outside = [ask(classifier, text).in_scope_probability for text in NEW["other"]]
    assert min(inside) > 0.5 > max(outside)


def test_a_short_answer_is_about_what_was_asked_before(classifier: Classifier) -> None:
    for label in ("cancel", "track"):
        turns = (NEW[label][0], "Which number is it?", "4821")
        assert ask(classifier, *turns).label == f"intent:{label}"


def test_the_report_tells_each_set(said: str) -> None:
    assert "new questions" in said
    for measure in (
        "accuracy",
        "calibration_error",
        "scope_auroc",
        "label_kept_under_small_changes",
    ):
        assert measure in said


def test_the_same_recipe_gives_the_same_bytes(folder: Path, classifier: Classifier) -> None:
    recipe = read(folder)
    assert recipe.classifier is not None
    assert classifier.labels == ("intent:cancel", "intent:other", "intent:track")
    classify(recipe, recipe.classifier, folder, folder / "again", print)
    first, second = (folder / name / CLASSIFIER_NAME for name in ("run", "again"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("hidden", ["0", "32"])
def test_whole_numbers_score_as_the_network_does(folder: Path, hidden: str) -> None:
    recipe = read(folder, RECIPE, f"classifier.hidden={hidden}", "classifier.epochs=4")
    assert recipe.classifier is not None
    questions = read_questions(recipe, recipe.classifier, folder)
    fitting = Fitting(recipe, recipe.classifier, questions.training, questions)
    learned = fitting.fit(print)
    classifier = Classifier(export(learned, recipe.classifier))
    index = {value: row for row, value in enumerate(learned.hashes)}
    for question in questions.held_out:
        floats = learned.network([index_blocks(hash_blocks(question.turns), index)])[0].tolist()
        assert classifier.score(question.turns)[0] == pytest.approx(floats, abs=0.1)


def test_a_version_carries_its_classifier(tmp_path: Path) -> None:
    path = write_small_run(tmp_path)
    write_data(tmp_path)
    section = RECIPE[RECIPE.index("[classifier]") :].replace("epochs = 12", "epochs = 2")
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{section}", encoding="utf-8")

    def run(*overrides: str) -> list[str]:
        console = Console(file=io.StringIO(), width=200)
        recipe = read_recipe(path, overrides)
        Run(recipe, tmp_path, tmp_path / "run", console, device="cpu").run_all()
        lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        return [line.removesuffix(": …") for line in lines if line.endswith(": …")]

    assert run() == ["prepare", "train", "quantize", "classify", "evaluate", "publish"]
    assert run() == []
    assert run("classifier.epochs=3") == ["classify", "publish"]
    assert run("classifier.epochs=3", "classifier.sources.0.origin=ours") == ["publish"]
    words = {"labels": {"intent:cancel": {"answers": ["Press Cancel."]}}}
    (tmp_path / "words.json").write_text(json.dumps(words))
    taken = ("classifier.sources.0.origin=ours", "publish.answers=words.json")
    assert run("classifier.epochs=3", *taken) == ["publish"]
    (tmp_path / "words.json").write_text(json.dumps(words).replace("Press", "Choose"))
    assert run("classifier.epochs=3", *taken) == ["publish"]
    (tmp_path / "words.json").write_text(json.dumps(words).replace("intent:cancel", "cancel"))
    with pytest.raises(PublishError, match=r"the version has no 'cancel'; it has intent:cancel"):
        run("classifier.epochs=3", *taken)
    newest = max((tmp_path / "model_store").glob("*/[0-9]*"), key=lambda found: found.name)
    bundle = open_bundle(newest)
    found = bundle.read_classifier()
    assert found is not None
    assert bundle.answers is not None
    assert bundle.answers.labels["intent:cancel"].answers == ["Choose Cancel."]
    assert found.labels == ("intent:cancel", "intent:other", "intent:track")
    assert "classifier_accuracy_new_questions" in bundle.manifest.evaluation
    sources = {source.name: source for source in bundle.manifest.training.data}
    assert (sources["asked"].source, sources["asked"].license) == ("ours", "MIT")
    assert "| accuracy new questions |" in (newest.parent / "README.md").read_text(encoding="utf-8")


def read_all(folder: Path, text: str) -> None:
    recipe = read(folder, text)
    assert recipe.classifier is not None
    read_questions(recipe, recipe.classifier, folder)


def wrong(text: str) -> str:
    return RECIPE.replace('out_of_scope = ["other"]', text)


@pytest.mark.parametrize(
    ("recipe", "problem"),
    [
        (wrong('out_of_scope = ["weather"]'), "no question has the label weather"),
        (wrong('out_of_scope = ["other"]\nfillers = 0.5'), "needs a source of use 'filler'"),
        (wrong('out_of_scope = ["other"]\nfollow_ups = 0.5'), "needs a source of use 'follow-up'"),
        (wrong('out_of_scope = ["other"]\nearlier_questions = 0.5'), "earlier_questions needs a"),
        (RECIPE.replace('use = "questions"', ""), "in no question"),
        (RECIPE.replace('label = "label" }', 'label = "topic" }'), "no column 'topic'"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, recipe: str, problem: str) -> None:
    if "in no question" in problem:
        recipe = recipe.replace(
            'name = "new questions"', 'name = "x"\nuse = "questions"\nlabel = "?"'
        )
    with pytest.raises((DataError, RecipeError), match=problem):
        read_all(folder, recipe)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (
            {"turns": [{"role": "agent", "content": "hello"}]},
            "the last turn must be the customer's",
        ),
        ({"turns": [{"role": "king", "content": "hello"}]}, "the role 'king' is none of"),
        ({"turns": "hello"}, "must be a list of objects"),
    ],
)
def test_a_wrong_conversation_is_named_with_its_line(
    tmp_path: Path, row: dict[str, object], problem: str
) -> None:
    write_data(tmp_path)
    with (tmp_path / "conversations.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({**row, "label": "cancel"}) + "\n")
    recipe = read(tmp_path)
    assert recipe.classifier is not None
    with pytest.raises(DataError, match=f"line 91.*{problem}"):
        read_questions(recipe, recipe.classifier, tmp_path)


def test_versions_of_a_question_keep_what_it_says(folder: Path) -> None:
    text = RECIPE.replace(
        "epochs = 12", 'shorthands = 1.0\nshorthand = { you = ["u"] }\nfillers = 1.0'
    )
    text += '\n[[classifier.sources]]\nname = "fill"\nuse = "filler"\nfiles = ["new.csv"]\n'
    recipe = read(folder, text)
    assert recipe.classifier is not None
    around = Questions(fillers=["So."])
    variation = Variation(recipe.augmentation, recipe.classifier, around, random.Random(1))
    question = Question(
        (Turn("user", "a"), Turn("agent", "b"), Turn("user", "you you you you")), "x"
    )
    versions = [variation.vary(question) for _ in range(30)]
    assert all(version.turns[:2] == question.turns[:2] for version in versions)
    assert all("So." in version.turns[2].text for version in versions)
    assert any("u " in version.turns[2].text.replace("you", "") for version in versions)


FOLLOWED = """
[[classifier.sources]]
name = "answers"
use = "follow-up"
files = ["answers.jsonl"]
columns = { turns = "turns" }
"""


def test_a_question_is_followed_up_or_follows_another_and_keeps_its_label(folder: Path) -> None:
    spoken = [("agent", "Which one?"), ("user", "the blue one")]
    turns = [{"role": role, "content": content} for role, content in spoken]
    (folder / "answers.jsonl").write_text(json.dumps({"turns": turns}) + "\n")
    keys = 'follow_ups = 0.5\nearlier_questions = 0.5\nno_follow_ups = ["track"]\nepochs = 12'
    text = RECIPE.replace("epochs = 12", keys) + FOLLOWED
    recipe = read(folder, text, "augmentation.typos=0")
    assert recipe.classifier is not None
    questions = read_questions(recipe, recipe.classifier, folder)
    assert len(questions.training) + len(questions.held_out) == 180  # no answer is a question
    variation = Variation(recipe.augmentation, recipe.classifier, questions, random.Random(1))

    def shapes(label: str) -> set[str]:
        question = Question((Turn("user", "where is my zeppelin"),), label)
        versions = [variation.vary(question) for _ in range(200)]
        assert {version.label for version in versions} == {label}
        return {" ".join(map(name, version.turns)) for version in versions}

    def name(turn: Turn) -> str:
        known = {"Which one?": "agent", "the blue one": "answer"}
        return "asked" if "zeppelin" in turn.text else known.get(turn.text[-12:], "another")

    alone = {"asked", "another agent asked"}
    assert shapes("cancel") == alone | {f"{each} agent answer" for each in alone}
    assert shapes("track") == shapes("other") == alone  # nothing follows these


def test_validation_questions_count_for_half_however_many_there_are() -> None:
    """They make the labels surer where what is held out is labeled with less care."""
    classifier = Classifier(make_file(scope=None))

    def asked(word: str, label: str) -> Question:
        return Question((Turn("user", word),), label)

    held_out = [asked("cancel", "cancel")] * 60 + [asked("cancel", "refund")] * 40
    validation = [asked("refund", "refund")] * 9 + [asked("refund", "cancel")]

    def temperature(held_out: list[Question], validation: list[Question]) -> float:
        return calibrate(classifier, held_out, validation, 0.2)[0]

    alone, both = temperature(held_out, []), temperature(held_out, validation)
    assert both < alone
    assert temperature(held_out * 3, validation) == pytest.approx(both, rel=1e-4)
    assert temperature(held_out, validation * 7) == pytest.approx(both, rel=1e-4)


def test_measures_are_those_of_the_books() -> None:
    assert auroc([0.9, 0.8, 0.4], [0.4, 0.1]) == pytest.approx(5.5 / 6)
    question = Question((Turn("user", "x"),), "a")
    right = Answered(question, Classification("a", 0.9, (), 1.0))
    mistaken = Answered(question, Classification("b", 0.9, (), 1.0))
    # nine of ten are right where 0.9 was said; three of four where 0.9 was said are 0.15 too few
    assert calibration_error([(0.9, True)] * 9 + [(0.9, False)]) == pytest.approx(0)
    assert calibration_error([(0.9, True)] * 3 + [(0.9, False)]) == pytest.approx(0.15)
    assert confusions([right, mistaken, mistaken]) == [("a", "b", 2)]
