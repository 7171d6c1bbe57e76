"""A version whose files are not what was published is never opened."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lstmserve_bundle import ChecksumError, ManifestError, TokenizerError, open_bundle
from lstmserve_bundle.bundle import describe_file

Edit = Callable[[Callable[[dict[str, Any]], object]], None]


def test_an_untouched_version_opens(folder: Path) -> None:
    bundle = open_bundle(folder)
    assert bundle.model_path == folder / "model.pt"
    assert bundle.tokenizer.num_tokens == bundle.manifest.sizes.vocabulary
    assert set(bundle.template.label_of_id.values()) == set(
        bundle.manifest.template.labels.values()
    )


@pytest.mark.parametrize("name", ["model.pt", "tokenizer.json"])
def test_one_changed_bit_is_found(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ChecksumError, match=f"{name}.*SHA-256"):
        open_bundle(folder)


@pytest.mark.parametrize("name", ["model.pt", "tokenizer.json"])
def test_a_truncated_file_is_told_apart(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-7])
    with pytest.raises(ChecksumError, match=f"{name}: {len(content) - 7} bytes instead of the"):
        open_bundle(folder)


@pytest.mark.parametrize("name", ["model.pt", "tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ChecksumError, match=f"{name}: cannot be read"):
        open_bundle(folder)


def test_a_manifest_must_list_both_files(folder: Path, edit: Edit) -> None:
    edit(lambda document: document["files"].pop("tokenizer.json"))
    with pytest.raises(ManifestError, match=r"lack tokenizer\.json"):
        open_bundle(folder)


def test_a_vocabulary_of_another_size_is_refused(folder: Path, edit: Edit) -> None:
    edit(lambda document: document["sizes"].update(vocabulary=512))
    with pytest.raises(TokenizerError, match=r"sizes\.vocabulary is 512"):
        open_bundle(folder)


def test_a_template_token_must_be_a_special_token(folder: Path, edit: Edit) -> None:
    edit(lambda document: document["template"].update(end_token="e"))
    with pytest.raises(TokenizerError, match="no special token 'e'"):
        open_bundle(folder)


@pytest.mark.parametrize("content", [b"{}", b"not json", b"\xff"])
def test_a_tokenizer_that_cannot_be_read_is_named(folder: Path, edit: Edit, content: bytes) -> None:
    path = folder / "tokenizer.json"
    path.write_bytes(content)
    described = describe_file(path).model_dump()
    edit(lambda document: document["files"].update({"tokenizer.json": described}))
    with pytest.raises(TokenizerError, match=r"tokenizer\.json: not a readable"):
        open_bundle(folder)


def test_a_tokenizer_that_is_not_byte_level_is_refused(folder: Path, edit: Edit) -> None:
    path = folder / "tokenizer.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = document["model"]["vocab"]
    vocabulary["字"] = vocabulary.pop("!")
    path.write_text(json.dumps(document), encoding="utf-8")
    described = describe_file(path).model_dump()
    edit(lambda manifest: manifest["files"].update({"tokenizer.json": described}))
    with pytest.raises(TokenizerError, match="not byte-level"):
        open_bundle(folder)
