"""A version that was made by hand is completed, and verified."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lstmserve_bundle import open_bundle
from lstmserve_training.errors import TrainingError
from lstmserve_training.pack import pack

KEPT = ("license", "quantization", "limits", "template")


@pytest.fixture
def folder(tiny_store: Path, tmp_path: Path) -> Path:
    """The tiny version under another name and number, with what only a person knows."""
    folder = Path(shutil.copytree(tiny_store / "tiny" / "1", tmp_path / "mine" / "7"))
    document = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    sizes = {name: document["sizes"][name] for name in ("hidden", "layers")}
    write(folder, {**{name: document[name] for name in KEPT}, "sizes": sizes})
    return folder


def write(folder: Path, document: dict[str, Any]) -> None:
    (folder / "manifest.json").write_text(json.dumps(document), encoding="utf-8")


def test_sizes_checksums_and_names_are_filled_in(folder: Path, tiny_store: Path) -> None:
    original = open_bundle(tiny_store / "tiny" / "1").manifest
    manifest = pack(folder)
    assert (manifest.name, manifest.version) == ("mine", 7)
    assert manifest.files == original.files
    assert manifest.sizes.state == original.sizes.state
    assert manifest.sizes.vocabulary == original.sizes.vocabulary
    assert manifest.training.recipe == "not stated"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), r"tokenizer\.json is missing"),
        (lambda folder: write(folder, {"license": "x"}), r"manifest\.json: .*limits"),
        (lambda folder: (folder / "manifest.json").write_text("["), r"manifest\.json: not JSON"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), r"must be an object"),
        (lambda folder: (folder / "model.pt").write_text("x"), r"cannot be read as TorchScript"),
    ],
)
def test_what_cannot_be_packed_is_named(folder: Path, damage: Any, said: str) -> None:  # noqa: ANN401 - a function
    damage(folder)
    with pytest.raises(TrainingError, match=said):
        pack(folder)


def test_a_folder_of_no_version_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="STORE/NAME/NUMBER"):
        pack(tmp_path)
