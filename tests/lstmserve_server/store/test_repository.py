"""What counts as a version in a store."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lstmserve_bundle.manifest import MANIFEST_NAME
from lstmserve_bundle.store import VERSION_RULE
from lstmserve_server.errors import StartupError
from lstmserve_server.options import OPTIONS
from lstmserve_server.store.repository import MAX_TOLD, ModelRepository
from lstmserve_training.recipe.reading import read_recipe
from lstmserve_training.recipe.shipped import find_recipe, list_recipes
from support.stores import make_folders


def scan(store: Path) -> dict[str, list[int]]:
    found = ModelRepository(store).scan()
    return {name: [version.version for version in versions] for name, versions in found.items()}


def test_a_version_knows_its_folder(tmp_path: Path) -> None:
    make_folders(tmp_path, "a/7")
    (version,) = ModelRepository(tmp_path).scan()["a"]
    assert (version.name, version.version, version.folder) == ("a", 7, tmp_path / "a" / "7")


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


def told(log: list[MutableMapping[str, Any]]) -> list[dict[str, str]]:
    assert {entry["log_level"] for entry in log} <= {"warning"}
    return [entry["folders"] for entry in log]


def test_what_is_passed_over_is_told_once_each_time(tmp_path: Path, unreadable: set[str]) -> None:
    """At once when a server starts; later when it was so at two looks."""
    make_folders(tmp_path, "a/1", "b/2", "a/03")
    repository = ModelRepository(tmp_path)
    with capture_logs() as log:
        for names in ({"b"}, {"b"}, set[str](), {"b"}, {"b"}, {"b"}):
            unreadable.clear()
            unreadable |= names
            assert ("b" in repository.scan()) == (not names)
    denied = {"b": "Permission denied"}
    assert told(log) == [{"a/03": VERSION_RULE, **denied}, denied]


def test_a_version_that_is_being_copied_is_no_news(tmp_path: Path) -> None:
    make_folders(tmp_path, "a/1")
    repository = ModelRepository(tmp_path)
    repository.scan()
    (tmp_path / "a" / "2").mkdir()
    with capture_logs() as log:
        assert len(repository.scan()["a"]) == 1
        assert repository.passed_over == {"a/2": "it has no manifest.json"}
        (tmp_path / "a" / "2" / MANIFEST_NAME).touch()
        assert len(repository.scan()["a"]) == 2
    assert log == []


def test_a_wrong_folder_is_not_told_whole(tmp_path: Path) -> None:
    for number in range(1, 100):
        (tmp_path / "a" / str(number)).mkdir(parents=True)
    with pytest.raises(StartupError) as caught:
        scan(tmp_path)
    assert str(caught.value).count("it has no manifest.json") == MAX_TOLD
    make_folders(tmp_path, "b/1")
    with capture_logs() as log:
        scan(tmp_path)
    (entry,) = log
    assert entry["number"] == 99
    assert len(entry["folders"]) == MAX_TOLD


@pytest.mark.parametrize("path", ["archive/1", "a/03", "a/v2", "a/9223372036854775808"])
def test_a_store_without_a_version_names_what_may_be_meant_as_one(
    tmp_path: Path, path: str
) -> None:
    (tmp_path / path).mkdir(parents=True)
    with pytest.raises(StartupError) as caught:
        scan(tmp_path)
    reason = "it has no manifest.json" if path == "archive/1" else VERSION_RULE
    assert f"; {path}: {reason}" in str(caught.value)


@pytest.mark.parametrize("name", ["", "nothing"])
def test_an_empty_store_tells_the_command_that_makes_a_model(tmp_path: Path, name: str) -> None:
    """As it is typed: the recipe ships, and publishes where servers look by default."""
    with pytest.raises(StartupError) as caught:
        scan(tmp_path / name)
    command = "lstmserve-train recipes cp demo . && lstmserve-train run demo.toml"
    assert str(caught.value).endswith(f"A model in a minute: {command}")
    assert "demo" in list_recipes()
    recipe = read_recipe(find_recipe("demo") / "demo.toml")
    assert Path(recipe.publish.store) == Path(str(OPTIONS["model_store"].default))


def test_a_store_of_which_nothing_can_be_read_says_what_cannot(
    tmp_path: Path, unreadable: set[str]
) -> None:
    make_folders(tmp_path, "a/1")
    unreadable.add("a")
    with pytest.raises(StartupError, match=r"--model-store: .* holds no .*; a: Permission denied"):
        scan(tmp_path)
