"""What counts as a version in a store, and what a store says of its default model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lstmserve_bundle.errors import DefaultModelError
from lstmserve_bundle.store import (
    DEFAULT_NAME,
    MAX_VERSION,
    VERSION_RULE,
    look_into,
    read_default,
    write_default,
)
from support.stores import make_folders

NO_MANIFEST = "it has no manifest.json"


def test_versions_are_numbers_and_the_newest_comes_first(tmp_path: Path) -> None:
    make_folders(tmp_path, "b/2", "b/10", "b/9", "a/1", f"b/{MAX_VERSION}", "b/1732800000")
    found = look_into(tmp_path)
    assert found.versions == {"a": [1], "b": [MAX_VERSION, 1_732_800_000, 10, 9, 2]}
    assert list(found.versions) == ["a", "b"]
    assert found.passed_over == {}


@pytest.mark.parametrize(
    "name", ["0", "00", "03", "1e3", "v2", "V2", "-4", "+1", "1.0", "1_0", "2.bak", "٥",  # noqa: RUF001 - a digit, but none of ours
             str(MAX_VERSION + 1), "9" * 200],
)  # fmt: skip
def test_what_is_meant_as_a_version_and_is_none_is_named(tmp_path: Path, name: str) -> None:
    make_folders(tmp_path, "a/1")
    (tmp_path / "a" / name).mkdir()
    found = look_into(tmp_path)
    assert found.versions == {"a": [1]}
    assert found.passed_over == {f"a/{name}": VERSION_RULE}


def test_what_is_not_meant_as_a_version_is_not_named(tmp_path: Path) -> None:
    make_folders(tmp_path, "a/1", "a/2.part", "a/.6", "a/notes", ".thumbs/1", "empty", "b/c/1")
    for path in ("a/README.md", "a/notes-2.txt", "a/2024.csv", "README.md", "7"):
        (tmp_path / path).write_text("a file")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    found = look_into(tmp_path)
    assert (found.versions, found.passed_over) == ({"a": [1]}, {})


@pytest.mark.parametrize("model", ["archive", "lost+found", "a"])
def test_a_folder_without_a_manifest_is_no_version(tmp_path: Path, model: str) -> None:
    make_folders(tmp_path, "a/2")
    (tmp_path / model / "1").mkdir(parents=True)
    (tmp_path / model / "1" / "model.pt").touch()
    found = look_into(tmp_path)
    assert found.versions == {"a": [2]}
    assert found.passed_over == {f"{model}/1": NO_MANIFEST}


def test_a_manifest_makes_a_version_whatever_comes_after_it(tmp_path: Path) -> None:
    make_folders(tmp_path, "a/1", "a/2")
    assert look_into(tmp_path).versions == {"a": [2, 1]}


def test_a_folder_of_another_name_with_a_manifest_is_named(tmp_path: Path) -> None:
    make_folders(tmp_path, "a/1")
    (tmp_path / "a" / "latest").mkdir()
    (tmp_path / "a" / "latest" / "manifest.json").touch()
    assert look_into(tmp_path).passed_over == {"a/latest": VERSION_RULE}


def test_links_count_as_what_they_lead_to(tmp_path: Path) -> None:
    make_folders(tmp_path, "elsewhere/real/1", "store/a")
    store = tmp_path / "store"
    (store / "b").symlink_to(tmp_path / "elsewhere" / "real")
    for name, target in {"1": "../b/1", "2": "nowhere", "3": "3", "4": "../../elsewhere"}.items():
        (store / "a" / name).symlink_to(target)
    (store / "a" / "5").write_text("a file")
    found = look_into(store)
    assert found.versions == {"a": [1], "b": [1]}
    no_folder = dict.fromkeys(("a/2", "a/3", "a/5"), "it is not a folder")
    assert found.passed_over == {**no_folder, "a/4": NO_MANIFEST}


def test_a_version_in_a_models_place_is_named(tmp_path: Path) -> None:
    make_folders(tmp_path, "2")
    found = look_into(tmp_path)
    assert found.versions == {}
    assert "it holds manifest.json itself" in found.passed_over["2"]


@pytest.mark.parametrize(
    ("name", "told"), [(b"\xff", r"\udcff"), (b"a\nb", r"a\nb"), (b"\x1b[31m", r"\x1b[31m")]
)
def test_a_name_that_nobody_can_be_told_is_no_model(tmp_path: Path, name: bytes, told: str) -> None:
    make_folders(tmp_path, "a/1", os.fsdecode(name) + "/1")
    found = look_into(tmp_path)
    assert found.versions == {"a": [1]}
    assert found.passed_over == {told: "its name cannot be told on the wire"}


def test_a_default_that_is_written_is_read_also_by_other_users(tmp_path: Path) -> None:
    assert read_default(tmp_path) == ""
    for name in ("a", "b.c-d_e"):
        path = write_default(tmp_path, name)
        assert read_default(tmp_path) == name
    assert path.stat().st_mode & 0o777 == 0o644
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("text", ["a", " a \r\n", "\ufeffa\n"])
def test_a_default_may_be_written_by_any_editor(tmp_path: Path, text: str) -> None:
    (tmp_path / DEFAULT_NAME).write_text(text, encoding="utf-8")
    assert read_default(tmp_path) == "a"


@pytest.mark.parametrize("text", ["", "\n", "a b", "a\nb\n", "x " * 1000, "a" * 10_000])
def test_a_default_that_is_no_name_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / DEFAULT_NAME).write_text(text)
    with pytest.raises(DefaultModelError, match="must hold the name of one model"):
        read_default(tmp_path)


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_a_default_that_is_no_file_is_refused_and_waited_for_by_nobody(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / DEFAULT_NAME
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere")
    with pytest.raises(DefaultModelError, match=f"{DEFAULT_NAME}: cannot be read"):
        read_default(tmp_path)
