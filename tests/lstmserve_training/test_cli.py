"""The verbs, as they are typed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.testbed.process import run_program
from lstmserve_bundle import open_bundle
from lstmserve_training import cli


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["lstmserve-train", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


def test_the_verbs_lead_from_text_to_a_version(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    work, store = tmp_path / "build" / "toy", tmp_path / "store"
    for verb in (
        ("prepare", "--work", work, "--data", data, "--vocabulary", 448),
        ("train", "--work", work, "--hidden", 64, "--epochs", 1, "--device", "cpu"),
        ("quantize", "--work", work),
        ("evaluate", "--work", work, "--questions", 2, "--contexts", 2, "--speed-seconds", 0.01),
        *[("publish", "--work", work, "--store", store, "--name", "toy", "--version", 1)],
    ):
        assert call(monkeypatch, *verb) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "epoch 1: held-out perplexity: chats" in said.out
    assert "chat_perplexity" in said.out
    assert (
        f"published {store / 'toy' / '1'}\nrequests that name no model are answered by toy"
        in said.out
    )
    manifest = open_bundle(store / "toy" / "1").manifest
    assert manifest.description.startswith("Customer support in English")
    assert manifest.license == "Apache-2.0"
    assert (manifest.sampling.temperature, manifest.sampling.min_p) == (0.7, 0.05)

    again = ("publish", "--work", work, "--store", store, "--name", "toy", "--version", 1)
    assert call(monkeypatch, *again) == 1
    assert "versions are immutable" in capsys.readouterr().err
    assert call(monkeypatch, "prepare", "--work", work, "--data", data) == 1
    assert "holds checkpoints of another corpus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "message"),
    [
        (["prepare", "--data", "nowhere"], "nowhere/cucom-ecommerce"),
        (["prepare", "--data", "nowhere", "--vocabulary", "4000"], "must be a multiple of 64"),
        (
            ["train"],
            "corpus.pt is missing: run 'lstmserve-train prepare --work toy --data …' first",
        ),
        (["quantize"], "best.pt is missing: run 'lstmserve-train train --work toy' first"),
        (["evaluate"], "best.pt is missing"),
        (["publish", "--store", "s", "--name", "n", "--version", "1"], "model.pt is missing"),
    ],
)
def test_what_is_missing_is_told_in_one_line(
    verb: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *verb, "--work", "toy") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert message in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("verb", ["prepare", "train", "quantize", "evaluate", "publish"])
def test_every_verb_explains_itself(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, verb, "--help") == 0
    assert "--work" in capsys.readouterr().out


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
