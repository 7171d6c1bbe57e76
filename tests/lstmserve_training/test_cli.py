"""The verbs, as they are typed."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from benchmarks.testbed.process import run_program
from lstmserve_bundle import open_bundle
from lstmserve_training import cli
from lstmserve_training.families import FAMILIES
from support.small_run import write_small_run

STEPS = ["prepare", "train", "quantize", "evaluate", "publish"]


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["lstmserve-train", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return write_small_run(tmp_path)


def test_one_command_leads_from_text_to_a_version(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "run", recipe) == 0
    said = capsys.readouterr()
    assert said.err == ""
    for words in (
        "our questions",
        "documents of",
        "step 1 of",
        "epoch 2: held-out perplexity: replies",
        "train: the best weights are those of epoch 2 of 2; it was still gaining",
        "label_accuracy",
        f"published {recipe.parent / 'model_store' / 'faq' / '1'}\n",
        "requests that name no model are answered by faq",
        "serve it: lstmserve-server --model-store",
    ):
        assert words in said.out
    manifest = open_bundle(recipe.parent / "model_store" / "faq" / "1").manifest
    assert manifest.license == "proprietary"
    assert set(manifest.template.labels.values()) == {
        "intent:price",
        "intent:return",
        "intent:track",
    }
    assert manifest.training.recipe == "lstmserve-train run faq.toml"

    assert call(monkeypatch, "run", recipe) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        *[f"{step}: unchanged, skipped" for step in STEPS],
        "already finished: nothing has changed since",
    ]


@pytest.mark.parametrize(
    ("family", "sizes"),
    [
        ("projected", ["model.hidden=128", "model.projection=64"]),
        ("hybrid", ["model.attention=64", "model.heads=2", "model.window=64"]),
        ("attentive", ["model.attention=64", "model.heads=1", "model.window=128"]),
        ("transformer", ["model.attention=64", "model.heads=2", "model.window=128"]),
    ],
)
def test_the_same_command_makes_a_version_of_any_family(
    recipe: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    family: str,
    sizes: list[str],
) -> None:
    keys = [f"model.family={family}", *sizes, "training.epochs=1"]
    assert call(monkeypatch, "run", recipe, *keys) == 0
    assert capsys.readouterr().err == ""
    manifest = open_bundle(recipe.parent / "model_store" / "faq" / "1").manifest
    assert manifest.family == FAMILIES[family].name
    own = dict(key.split("=") for key in sizes if "hidden" not in key)
    assert (
        own.items() <= {key: str(value) for key, value in manifest.training.facts.items()}.items()
    )
    card = (recipe.parent / "model_store" / "faq" / "README.md").read_text(encoding="utf-8")
    assert FAMILIES[family].name in card
    run, other = recipe.parent / "runs" / "faq", recipe.parent / "runs" / "more"
    assert call(monkeypatch, "continue", recipe, "--from", run, "--work", other) == 1
    assert f"is of the family '{family}'; only models" in capsys.readouterr().err
    for model in ("fp32", "stock_int8", "int8"):
        assert float(manifest.evaluation[f"reply_perplexity_{model}"]) > 1


def test_a_teacher_is_named_on_the_command_line(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "run", recipe, "training.epochs=1") == 0
    student = ["training.epochs=1", "--teacher", "faq/1", "--work", recipe.parent / "student"]
    for step in ("prepare", "train"):
        assert call(monkeypatch, step, recipe, *student) == 0
    capsys.readouterr()
    assert call(monkeypatch, "train", recipe, *student, "--print-config") == 0
    document = tomllib.loads(capsys.readouterr().out)
    assert document["distillation"]["teacher"] == "faq/1"
    assert call(monkeypatch, "train", recipe, "--teacher", "faq/9") == 1
    assert "'faq/9' is neither NAME/VERSION in the store" in capsys.readouterr().err


def test_each_verb_takes_one_step(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = recipe.parent / "elsewhere"
    for step in STEPS:
        assert call(monkeypatch, step, recipe, "training.epochs=1", "--work", work) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert open_bundle(recipe.parent / "model_store" / "faq" / "1").manifest.version == 1
    assert call(monkeypatch, "train", recipe, "training.epochs=1", "--work", work) == 0
    assert "train: unchanged, skipped\nalready finished" in capsys.readouterr().out
    assert call(monkeypatch, "evaluate", recipe, "training.epochs=3", "--work", work) == 0
    assert "note: the recipe or its data has changed for train" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("step", "missing", "first"),
    [
        ("train", "tokenizer.json", "prepare"),
        ("quantize", "best.pt", "train"),
        ("evaluate", "best.pt", "train"),
        ("publish", "model.pt", "quantize"),
    ],
)
def test_a_step_before_its_time_names_the_one_to_take(
    recipe: Path,
    step: str,
    missing: str,
    first: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, step, recipe) == 1
    assert f"{missing} is missing: run 'lstmserve-train {first} RECIPE'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "none.toml"], "none.toml is missing: write a recipe with 'lstmserve-train init"),
        (["run", "faq.toml", "training.epoch=3"], "did you mean training.epochs?"),
        (["run", "faq.toml", "sources.0.files=['x.csv']"], "x.csv: no such file"),
        (["run", "faq.toml", "--device", "gpu"], "--device gpu: not a device"),
        (["train", "faq.toml", "training.start_from=nowhere"], "is missing"),
        (["recipes", "cp", "nothing"], "no recipe 'nothing' ships; there are: "),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    recipe: Path,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(recipe.parent)
    assert call(monkeypatch, *arguments) == 1
    found = capsys.readouterr()
    assert found.err.startswith("error: ")
    assert said in found.err
    assert found.err.count("\n") == 1
    assert not (recipe.parent / "runs" / "faq" / "last.pt").exists()


def test_what_is_in_force_is_printed(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "run", recipe, "training.epochs=7", "--print-config") == 0
    document = tomllib.loads(capsys.readouterr().out)
    assert document["training"]["epochs"] == 7
    assert document["training"]["rows"] == 4
    assert document["tokenizer"]["mask"] == []
    assert not (recipe.parent / "runs").exists()


def test_recipes_are_listed_and_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "recipes", "ls") == 0
    assert "support-en: conversations. Customer support in English" in capsys.readouterr().out
    assert call(monkeypatch, "recipes", "cp", "support-en", tmp_path / "mine") == 0
    assert not (tmp_path / "mine" / "heldout").exists()
    assert (tmp_path / "mine" / "support-en.toml").is_file()
    assert call(monkeypatch, "recipes", "cp", "support-en", tmp_path / "mine") == 1
    assert "exists: copy into another folder" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["run", *STEPS])
def test_every_verb_explains_itself(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, verb, "--help") == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("RECIPE", "--work", "--teacher", "--print-config"))
    assert all((word in said) == (verb in ("run", "train")) for word in ("--restart", "--device"))


@pytest.mark.parametrize("option", ["--restart", "--device=cpu"])
@pytest.mark.parametrize("verb", [verb for verb in STEPS if verb != "train"])
def test_what_only_training_has_is_refused_elsewhere(
    option: str,
    verb: str,
    recipe: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, verb, recipe, option) == 2
    assert "No such option" in capsys.readouterr().err


def test_help_needs_no_torch() -> None:
    program = (
        "import sys; from lstmserve_training import cli; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'lstmserve_bundle')))"
    )
    assert run_program([sys.executable, "-c", program], check=False).returncode == 0


def test_the_version_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.startswith("lstmserve-train ")
