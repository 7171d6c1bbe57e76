"""Runs are talked to and compared before anything is published."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from lstmserve_training import cli
from lstmserve_training.comparing import compare_replies, make_comparison, open_run, plot
from lstmserve_training.errors import MissingInputError, TrainingError
from lstmserve_training.recipe.reading import read_recipe
from lstmserve_training.run import Run
from lstmserve_training.steps import PREPARE, TRAIN
from lstmserve_training.talking import open_talker, talk
from support.small_run import RECIPE, write_small_run

OVERRIDES = {"one": ["training.epochs=1"], "other": ["training.epochs=2", "model.hidden=128"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of one recipe: the first is whole, the second trained only."""
    folder = tmp_path_factory.mktemp("runs")
    path = write_small_run(folder)
    console = Console(file=io.StringIO())
    for name, overrides in OVERRIDES.items():
        work = folder / name
        run = Run(read_recipe(path, overrides), folder, work, console, device="cpu")
        if name == "one":
            run.run_all()
        else:
            (work / "recipe.toml").write_text(RECIPE.replace("hidden = 64", "hidden = 128"))
            run.take(PREPARE)
            run.take(TRAIN)
    return folder


def ask(folder: Path, name: str, *lines: str, chat: bool = True) -> str:
    """All that is said."""
    said: list[str] = []
    talker = open_talker(read_recipe(folder / "faq.toml"), folder / name)
    talk(talker, lines, 1, said.append, chat=chat)
    return "".join(said)


def test_the_best_weights_that_there_are_reply(folder: Path) -> None:
    read = read_recipe(folder / "faq.toml")
    assert open_talker(read, folder / "one").what == "the exported INT8 module"
    assert "of epoch 2, not yet quantized" in open_talker(read, folder / "other").what


def test_a_conversation_goes_on_until_it_is_cleared(folder: Path) -> None:
    question = "Where is my lamp?"
    first = ask(folder, "one", question)
    assert ask(folder, "one", question, "/clear\n") == first
    going_on = ask(folder, "one", question, question)
    single = ask(folder, "one", question, question, chat=False)
    assert going_on.startswith(first)
    assert single.startswith(first)
    assert going_on != single


def test_a_model_of_text_goes_on_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("".join(f"name number {n}\n" for n in range(20)))
    text = RECIPE.replace('"replies"', '"lines"').replace("faq.csv", "names.txt")
    text = text.replace('columns = { prompt = "Question", reply = "Answer", label = "Topic" }', "")
    (tmp_path / "faq.toml").write_text(text)
    console = Console(file=io.StringIO())
    run = Run(read_recipe(tmp_path / "faq.toml"), tmp_path, tmp_path / "r", console, device="cpu")
    run.run_all()
    assert "bits_per_byte" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "label_accuracy" not in console.file.getvalue()  # type: ignore[attr-defined]
    reply = ask(tmp_path, "r", "name number")
    assert reply.startswith("name number")
    assert "written_copied_percent_at_0.8" in console.file.getvalue()  # type: ignore[attr-defined]
    card = (tmp_path / "model_store" / "faq" / "README.md").read_text("utf-8")
    assert "| written copied percent at 0.8 |  |  | " in card


def show(table: object) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_runs_stand_side_by_side(folder: Path) -> None:
    runs = [open_run(folder / name) for name in OVERRIDES]
    text = show(make_comparison(runs))
    lines = {line.split("│")[1].strip(): line for line in text.splitlines() if line.startswith("│")}
    assert "64" in lines["model.hidden"]
    assert "128" in lines["model.hidden"]
    assert "training.rows" not in lines
    assert "lowest held-out perplexity, replies" in lines
    assert "label accuracy" in lines
    assert "label accuracy stock" not in lines
    replies = show(compare_replies(runs, ["Where is my lamp?"]))
    assert replies.count("Where is my lamp?") == 1
    assert "one" in replies


@pytest.mark.parametrize("name", ["curves.png", "curves.svg"])
def test_curves_are_drawn(folder: Path, tmp_path: Path, name: str) -> None:
    plot([open_run(folder / run) for run in OVERRIDES], tmp_path / name)
    start = (tmp_path / name).read_bytes()[:100]
    assert start.startswith(b"\x89PNG") or b"<?xml" in start


def test_a_picture_of_no_known_form_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"curves\.xyz: .*such as curves\.png"):
        plot([open_run(folder / "one")], tmp_path / "curves.xyz")


def test_drawing_without_its_package_is_told(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(TrainingError, match=r"pip install matplotlib"):
        plot([open_run(folder / "one")], tmp_path / "curves.png")


def test_a_folder_of_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="is no folder of a run"):
        open_run(tmp_path)


def test_the_verbs_are_typed_so(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["lstmserve-train", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return int(caught.value.code or 0)

    curves = tmp_path / "c.svg"
    assert (
        call("compare", folder / "one", folder / "other", "--prompt", "hi", "--plot", curves) == 0
    )
    assert f"wrote {curves}" in capsys.readouterr().out
    assert call("try", folder / "faq.toml", "--work", folder / "one", "--prompt", "hi") == 0
    said = capsys.readouterr()
    assert said.err == "talking to the exported INT8 module\n"
    assert said.out.endswith("\n")
