"""What counts as a version in a store."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lstmserve_server.errors import StartupError
from lstmserve_server.store.repository import ModelRepository


def make_folders(store: Path, *paths: str) -> None:
    for path in paths:
        (store / path).mkdir(parents=True)


def scan(store: Path) -> dict[str, list[int]]:
    found = ModelRepository(store).scan()
    return {name: [version.version for version in versions] for name, versions in found.items()}


def test_versions_are_numbers_and_the_newest_comes_first(tmp_path: Path) -> None:
    make_folders(tmp_path, "b/2", "b/10", "b/9", "a/1")
    found = scan(tmp_path)
    assert found == {"b": [10, 9, 2], "a": [1]}
    assert list(found) == ["a", "b"]


def test_a_version_knows_its_folder(tmp_path: Path) -> None:
    make_folders(tmp_path, "a/7")
    (version,) = ModelRepository(tmp_path).scan()["a"]
    assert (version.name, version.version, version.folder) == ("a", 7, tmp_path / "a" / "7")


def test_what_is_no_version_is_passed_over(tmp_path: Path) -> None:
    make_folders(tmp_path, "a/1", "a/2.part", "a/v3", "a/-4", "a/٥", "a/.6", "nothing", "b/c")  # noqa: RUF001 - a digit, but none of ours
    (tmp_path / "a" / "8").write_text("a file")
    (tmp_path / "README.md").write_text("a file")
    assert scan(tmp_path) == {"a": [1]}


@pytest.mark.parametrize("name", [b"\xff", b"a\nb", b"\x1b[31m"])
def test_a_name_that_nobody_can_be_told_is_no_model(tmp_path: Path, name: bytes) -> None:
    make_folders(tmp_path, "a/1", os.fsdecode(name) + "/1")
    assert scan(tmp_path) == {"a": [1]}


def test_a_store_may_be_reached_by_a_link(tmp_path: Path) -> None:
    make_folders(tmp_path, "real/1", "store")
    (tmp_path / "store" / "a").symlink_to(tmp_path / "real")
    assert scan(tmp_path / "store") == {"a": [1]}


@pytest.mark.parametrize("kind", ["missing", "file", "empty", "no versions"])
def test_a_store_without_versions_is_named(tmp_path: Path, kind: str) -> None:
    store = tmp_path / "store"
    if kind == "file":
        store.write_text("no folder")
    if kind in {"empty", "no versions"}:
        store.mkdir()
    if kind == "no versions":
        make_folders(store, "a/latest")
    with pytest.raises(StartupError, match="--model-store") as caught:
        ModelRepository(store).scan()
    assert str(store) in str(caught.value)


def test_scanning_again_sees_what_is_new(tmp_path: Path) -> None:
    make_folders(tmp_path, "a/1")
    repository = ModelRepository(tmp_path)
    before = repository.scan()
    make_folders(tmp_path, "a/2")
    assert [version.version for version in repository.scan()["a"]] == [2, 1]
    assert [version.version for version in before["a"]] == [1]


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of folders that cannot be read, not even by root, who may run the tests."""
    names: set[str] = set()
    read = Path.iterdir

    def refuse(folder: Path) -> Iterator[Path]:
        if folder.name in names:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return read(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    return names


def test_a_folder_that_cannot_be_read_hides_no_model_beside_it(
    tmp_path: Path, unreadable: set[str]
) -> None:
    make_folders(tmp_path, "a/1", "lost+found", "z/3")
    unreadable.add("lost+found")
    assert scan(tmp_path) == {"a": [1], "z": [3]}


def test_a_folder_that_cannot_be_read_is_told_once_each_time(
    tmp_path: Path, unreadable: set[str]
) -> None:
    make_folders(tmp_path, "a/1", "b/2")
    repository = ModelRepository(tmp_path)
    with capture_logs() as log:
        for names in ({"b"}, {"b"}, set[str](), {"b"}):
            unreadable.clear()
            unreadable |= names
            assert ("b" in repository.scan()) == (not names)
    told = [(entry["folder"], entry["reason"]) for entry in log]
    assert told == [(str(tmp_path / "b"), "Permission denied")] * 2


def test_a_store_of_which_nothing_can_be_read_says_what_cannot(
    tmp_path: Path, unreadable: set[str]
) -> None:
    make_folders(tmp_path, "a/1")
    unreadable.add("a")
    with pytest.raises(StartupError, match=r"--model-store: .* holds no .*; a: Permission denied"):
        scan(tmp_path)
