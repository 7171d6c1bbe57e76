"""A manifest is data from outside: everything wrong with it is told by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lstmserve_bundle import Bundle, ManifestError
from lstmserve_bundle.manifest import Manifest, parse_manifest, read_manifest, write_manifest

Document = dict[str, Any]
Edit = Callable[[Callable[[Document], object]], None]

WRONG = {
    "colour": lambda document: document.update(colour="blue"),
    "sizes.width": lambda document: document["sizes"].update(width=3),
    "version": lambda document: document.update(version="1"),
    "sizes.hidden": lambda document: document["sizes"].update(hidden=64.5),
    "sizes.layers": lambda document: document["sizes"].pop("layers"),
    "sizes.vocabulary": lambda document: document["sizes"].update(vocabulary=450),
    "sizes.state": lambda document: document["sizes"].update(state=0),
    "training": lambda document: document.pop("training"),
    "schema_version": lambda document: document.update(schema_version=2),
    "name": lambda document: document.update(name="../elsewhere"),
    "template": lambda document: document["template"].update(reply_role="robot"),
    "role_tokens": lambda document: document["template"].update(role_tokens={}),
    "sampling.temperature": lambda document: document["sampling"].update(temperature=-1),
    "sampling.top_p": lambda document: document["sampling"].update(top_p=float("nan")),
    "quantization.scheme": lambda document: document["quantization"].update(scheme="int4"),
    "files.model.pt.sha256": lambda document: document["files"]["model.pt"].update(sha256="ab"),
    "files.model.pt.size_bytes": lambda document: document["files"]["model.pt"].pop("size_bytes"),
    "example_prompts.0": lambda document: document.update(example_prompts=[""]),
    "example_prompts": lambda document: document.update(example_prompts=["hello"] * 9),
    "evaluation.speed": lambda document: document["evaluation"].update(speed=None),
}


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_key_is_named(folder: Path, edit: Edit, key: str) -> None:
    edit(WRONG[key])
    with pytest.raises(ManifestError) as caught:
        read_manifest(folder)
    assert f"{folder / 'manifest.json'}: " in str(caught.value)
    assert key in str(caught.value)


@pytest.mark.parametrize("name", ["../model.pt", "a/b", "a\\b", "/etc/passwd", ".hidden", ""])
def test_files_stay_in_the_folder(folder: Path, edit: Edit, name: str) -> None:
    edit(lambda document: document["files"].update({name: document["files"]["model.pt"]}))
    with pytest.raises(ManifestError, match="files"):
        read_manifest(folder)


def test_every_problem_is_told_at_once(folder: Path, edit: Edit) -> None:
    edit(lambda document: document.update(colour="blue", version="1"))
    with pytest.raises(ManifestError, match=r"version.*colour|colour.*version"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\n\xff", "is not UTF-8 (line 2); save it as UTF-8"),
        (b"[" * 100_000, "not JSON: a number is too long, or lists are too deep"),
        (b"1" * 5000, "not JSON: a number is too long, or lists are too deep"),
    ],
)
def test_what_python_says_of_its_limits_is_told_in_other_words(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(ManifestError) as error:
        read_manifest(tmp_path)
    assert str(error.value) == f"{tmp_path / 'manifest.json'}: {said}"


@pytest.mark.parametrize("content", [b"", b"{", b'{"name": }', b"[]", b"\xff\xfe"])
def test_what_is_no_manifest_is_refused_by_name(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        read_manifest(folder)


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.json: cannot be read"):
        read_manifest(tmp_path)


def test_writing_and_reading_gives_the_same_manifest(bundle: Bundle, tmp_path: Path) -> None:
    write_manifest(tmp_path, bundle.manifest)
    assert read_manifest(tmp_path) == bundle.manifest


def changed(manifest: Manifest, by: Callable[[Document], object]) -> Manifest:
    document = json.loads(json.dumps(manifest.model_dump()))
    by(document)
    return Manifest.model_validate(document)


@pytest.mark.parametrize(
    "by",
    [
        lambda document: document["files"]["model.pt"].update(sha256="0" * 64),
        lambda document: document["files"]["tokenizer.json"].update(size_bytes=1),
        lambda document: document["template"].update(end_token="<|stop|>"),
        lambda document: document["template"]["labels"].clear(),
        lambda document: document["sampling"].update(temperature=0.5),
        lambda document: document["sizes"].update(hidden=128),
        lambda document: document["quantization"].update(activation_zero_point=63),
    ],
)
def test_what_can_change_a_reply_changes_the_digest(
    bundle: Bundle, by: Callable[[Document], object]
) -> None:
    assert changed(bundle.manifest, by).digest != bundle.manifest.digest


@pytest.mark.parametrize(
    "by",
    [
        lambda document: document["evaluation"].update(chat_perplexity_int8=1.0),
        lambda document: document.update(description="other words", license="MIT"),
        lambda document: document.update(example_prompts=["hello"]),
        lambda document: document["training"].update(recipe="another folder"),
        lambda document: document["created"].update(at="2030-01-01"),
        lambda document: document.update(version=7),
    ],
)
def test_what_cannot_change_a_reply_leaves_the_digest(
    bundle: Bundle, by: Callable[[Document], object]
) -> None:
    assert changed(bundle.manifest, by).digest == bundle.manifest.digest


def test_the_example_of_the_documents_has_every_key_and_is_read() -> None:
    page = (Path(__file__).parents[2] / "docs" / "model-format.md").read_text(encoding="utf-8")
    example = page.partition("```json\n")[2].partition("```")[0]
    manifest = parse_manifest(example, "the example")
    assert json.loads(example) == manifest.model_dump()
