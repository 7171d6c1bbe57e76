"""What editors put into the text files of a version: a mark at the beginning, other encodings."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lstmserve_bundle import BundleError, Tokenizer
from lstmserve_bundle.answers import ANSWERS_NAME, read_answers
from lstmserve_bundle.bundle import describe_file, open_bundle
from lstmserve_bundle.files import parse_json
from lstmserve_bundle.forms import FORMS_NAME, read_forms
from lstmserve_bundle.manifest import MANIFEST_NAME, read_manifest

FORMS = {"yes": {"choices": ["yes", "sí"]}}
ANSWERS = {"schema_version": 1, "forbidden": ["nö"]}
READERS: dict[str, Callable[[Path], object]] = {
    MANIFEST_NAME: lambda path: read_manifest(path.parent),
    FORMS_NAME: read_forms,
    ANSWERS_NAME: lambda path: read_answers(path).forbidden,
    "tokenizer.json": lambda path: Tokenizer.from_file(path).all_bytes(),
}


@pytest.fixture(params=READERS)
def file(request: pytest.FixtureRequest, folder: Path) -> Path:
    """A text file of a version."""
    (folder / FORMS_NAME).write_text(json.dumps(FORMS), encoding="utf-8")
    (folder / ANSWERS_NAME).write_text(json.dumps(ANSWERS), encoding="utf-8")
    return Path(folder, request.param)


def test_a_mark_at_the_beginning_is_no_text(file: Path) -> None:
    read, text = READERS[file.name], file.read_bytes()
    plain = read(file)
    file.write_bytes(codecs.BOM_UTF8 + text)
    assert read(file) == plain


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-16", "is UTF-16 or UTF-32; save it as UTF-8"),
        ("utf-16-be", "holds NUL bytes, so it is not text, or is UTF-16; save it as UTF-8"),
        ("utf-32", "is UTF-16 or UTF-32; save it as UTF-8"),
    ],
)
def test_another_encoding_is_named_with_what_to_do(file: Path, encoding: str, said: str) -> None:
    file.write_bytes(file.read_text("utf-8").encode(encoding))
    with pytest.raises(BundleError, match=rf"{file.name}: .*{said}"):
        READERS[file.name](file)


def test_what_is_not_utf_8_is_named_with_its_line(file: Path) -> None:
    file.write_bytes(b"{\n\xe9}")
    with pytest.raises(BundleError, match=r"is not UTF-8 \(line 2\); save it as UTF-8"):
        READERS[file.name](file)


def test_a_digest_is_of_all_bytes(folder: Path, edit: Callable[[Any], None]) -> None:
    path = folder / FORMS_NAME
    path.write_text(json.dumps(FORMS))
    plain = describe_file(path)
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    marked = describe_file(path)
    assert marked.sha256 != plain.sha256
    edit(lambda document: document["files"].update({FORMS_NAME: marked.model_dump()}))
    assert "yes" in open_bundle(folder).forms
    edit(lambda document: document["files"].update({FORMS_NAME: plain.model_dump()}))
    with pytest.raises(BundleError, match=FORMS_NAME):
        open_bundle(folder)


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5000])
def test_limits_of_the_parser_are_told_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="a number is too long, or lists are too deep"):
        parse_json(text)
