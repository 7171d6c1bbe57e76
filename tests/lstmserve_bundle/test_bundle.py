"""A version whose files are not what was published is never opened."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lstmserve_bundle import (
    BundleError,
    ChecksumError,
    ManifestError,
    TokenizerError,
    open_bundle,
    verify_bundle,
)
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


@pytest.mark.parametrize("name", ["manifest.json", "model.pt", "tokenizer.json"])
@pytest.mark.parametrize("endless", ["pipe", "device"])
def test_a_file_without_an_end_is_not_read(folder: Path, name: str, endless: str) -> None:
    (folder / name).unlink()
    if endless == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to("/dev/zero")
    with pytest.raises(BundleError, match=f"{name}: cannot be read: it is not a regular file"):
        open_bundle(folder)


def test_a_manifest_that_would_fill_the_memory_is_not_read(folder: Path) -> None:
    os.truncate(folder / "manifest.json", 1 << 40)
    with pytest.raises(ManifestError, match="at most 1048576 bytes"):
        open_bundle(folder)


def test_files_are_verified_without_a_look_at_what_is_in_them(folder: Path, edit: Edit) -> None:
    (folder / "tokenizer.json").write_text("no tokenizer")
    described = describe_file(folder / "tokenizer.json").model_dump()
    edit(lambda document: document["files"].update({"tokenizer.json": described}))
    assert verify_bundle(folder).name == "tiny"


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
    vocabulary["字"] = vocabulary.pop("$")  # of no merge
    path.write_text(json.dumps(document), encoding="utf-8")
    described = describe_file(path).model_dump()
    edit(lambda manifest: manifest["files"].update({"tokenizer.json": described}))
    with pytest.raises(TokenizerError, match="not byte-level"):
        open_bundle(folder)
