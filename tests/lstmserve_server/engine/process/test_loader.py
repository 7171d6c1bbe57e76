"""What is loaded, and what is refused in one line that names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lstmserve_bundle.manifest import MAX_STATE, read_manifest
from lstmserve_server.engine.decoding.decode_row import DecodeRow
from lstmserve_server.engine.request import SamplingParams
from lstmserve_server.errors import ModelLoadError
from support.engines import load
from support.inexact import publish_claim
from support.stores import accept_files, copy_version, edit_manifest


@pytest.fixture
def version(tiny_store: Path, tmp_path: Path) -> Path:
    """The folder of a good version, to be spoiled."""
    return copy_version(tiny_store / "tiny" / "1", tmp_path)


def refused(folder: Path) -> str:
    with pytest.raises(ModelLoadError) as caught:
        load(folder)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert str(folder) in text
    return text


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_text("{"), "not JSON"),
        (lambda path: path.write_bytes(b"\xff"), "is not UTF-8"),
        (lambda path: path.write_text("[]"), "manifest"),
        (lambda path: edit_manifest(path.parent, version="one"), "version: "),
        (lambda path: edit_manifest(path.parent, files={}), "model.pt"),
    ],
)
def test_a_bad_manifest_is_refused(
    version: Path, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(version / "manifest.json")
    assert said in refused(version)


@pytest.mark.parametrize("text", ["", "{}", "[1, 2]"])
def test_a_published_file_that_is_no_tokenizer_is_refused(version: Path, text: str) -> None:
    (version / "tokenizer.json").write_text(text or " ")
    accept_files(version)
    assert "tokenizer.json" in refused(version)


class NoStep(torch.nn.Module):
    """Has none of a model's methods."""

    def forward(self) -> int:
        return 1


class BadStep(torch.nn.Module):
    """Has a model's methods, one of which fails."""

    def forward(self) -> int:
        return 1

    @torch.jit.export
    def initial_state(self, rows: int) -> torch.Tensor:
        return torch.zeros(rows, 2)

    @torch.jit.export
    def prefill(
        self, state: torch.Tensor, tokens: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        return state[: len(tokens) * len(lengths)]

    @torch.jit.export
    def step(self, state: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.matmul(state, state), state[: len(tokens)]  # [rows, 2] times [rows, 2]


def publish(module: torch.nn.Module, version: Path) -> None:
    torch.jit.script(module).save(str(version / "model.pt"))  # type: ignore[no-untyped-call]
    accept_files(version)


def test_a_published_file_that_is_no_script_is_refused(version: Path) -> None:
    torch.save({"weights": 1}, version / "model.pt")
    accept_files(version)
    assert "model.pt: not a servable model" in refused(version)


def test_a_script_without_the_methods_of_a_model_is_refused_by_the_method(version: Path) -> None:
    publish(NoStep(), version)
    assert "not a servable model: Module 'NoStep' has no attribute 'step'" in refused(version)


def test_a_model_that_fails_when_it_runs_is_refused_with_the_reason(version: Path) -> None:
    publish(BadStep(), version)
    said = refused(version)
    assert "not a servable model" in said
    assert "shapes cannot be multiplied" in said


def test_an_error_inside_a_loaded_model_is_raised_and_the_model_still_runs(version: Path) -> None:
    runner = load(version).runner
    runner.clear([0])
    good = [DecodeRow(0, 0, 0, SamplingParams(temperature=0.0), 0)]
    before = runner.decode(good, steps=4, same_rows=False)
    with pytest.raises(RuntimeError, match="out of range"):
        runner.decode([DecodeRow(0, 1 << 40, 0, SamplingParams(), 0)], steps=4, same_rows=False)
    runner.clear([0])
    assert runner.decode(good, steps=4, same_rows=False) == before


class _Wrong(torch.nn.Module):
    """Has the three methods, but not the sizes of the manifest."""

    def __init__(self, state: int, tokens: int) -> None:
        super().__init__()
        self.state = state
        self.tokens = tokens

    @torch.jit.export
    def initial_state(self, rows: int) -> torch.Tensor:
        return torch.zeros(rows, self.state)

    @torch.jit.export
    def prefill(
        self, state: torch.Tensor, tokens: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        return state

    @torch.jit.export
    def step(self, state: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(state.shape[0], self.tokens), state


@pytest.mark.parametrize(("state", "tokens", "said"), [(7, 448, "state"), (256, 512, "logits")])
def test_a_module_of_other_sizes_than_the_manifests_is_refused(
    version: Path, state: int, tokens: int, said: str
) -> None:
    torch.jit.script(_Wrong(state, tokens)).save(str(version / "model.pt"))
    accept_files(version)
    assert f"its {said} are" in refused(version)


@pytest.mark.parametrize(
    ("columns", "said"),
    [([(0, 257)], "of a state of 256 values"), ([0, 64], "no list of pairs"), (1, "no list")],
)
def test_columns_that_are_none_of_a_state_are_refused(
    version: Path, columns: object, said: str
) -> None:
    publish_claim(version, columns)
    assert said in refused(version)


def test_a_model_whose_kept_states_are_too_large_is_refused(version: Path) -> None:
    sizes = read_manifest(version).sizes.model_dump()
    edit_manifest(version, sizes={**sizes, "state": MAX_STATE})
    torch.jit.script(_Wrong(MAX_STATE, sizes["vocabulary"])).save(str(version / "model.pt"))
    accept_files(version)
    assert f"a state that is kept has {4 * MAX_STATE} bytes" in refused(version)
