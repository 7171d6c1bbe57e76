"""What editors put into files that people write for training: a mark, other encodings."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lstmserve_training.data.slots import read_slots
from lstmserve_training.errors import TrainingError
from lstmserve_training.importing.vocabulary import _read as read_vocabulary
from lstmserve_training.pack import _read as read_manifest
from lstmserve_training.recipe.reading import read_document

READERS: dict[str, Callable[[Path], object]] = {
    "slots.json": read_slots,
    "vocab.json": read_vocabulary,
    "vocab.txt": read_vocabulary,
    "manifest.json": read_manifest,
    "recipe.toml": read_document,
}
GOOD = {".json": json.dumps({"a": ["é"]}, ensure_ascii=False), ".toml": 'a = "é"', ".txt": "a\né"}


@pytest.fixture(params=READERS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = Path(tmp_path, request.param)
    path.write_text(GOOD[path.suffix], encoding="utf-8")
    return path


def test_a_mark_at_the_beginning_is_no_text(file: Path) -> None:
    read, text = READERS[file.name], file.read_bytes()
    plain = read(file)
    file.write_bytes(codecs.BOM_UTF8 + text)
    assert read(file) == plain


def test_lines_may_end_as_on_windows(file: Path) -> None:
    read, text = READERS[file.name], file.read_bytes()
    plain = read(file)
    file.write_bytes(text.replace(b"\n", b"\r\n"))
    assert read(file) == plain


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-16", "is UTF-16 or UTF-32; save it as UTF-8"),
        ("utf-16-be", "holds NUL bytes, so it is not text, or is UTF-16; save it as UTF-8"),
        ("latin-1", r"is not UTF-8 \(line \d\); save it as UTF-8"),
    ],
)
def test_another_encoding_is_named_with_what_to_do(file: Path, encoding: str, said: str) -> None:
    file.write_bytes(file.read_text("utf-8").encode(encoding))
    with pytest.raises(TrainingError, match=rf"{file}: {said}"):
        READERS[file.name](file)


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5000])
@pytest.mark.parametrize("name", [name for name in READERS if name.endswith(".json")])
def test_limits_of_the_parser_are_told_in_words(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(TrainingError, match="not JSON: a number is too long, or lists are too"):
        READERS[name](path)
