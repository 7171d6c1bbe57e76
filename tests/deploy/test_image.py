"""What is in the image: the files that would go into it, listed without building it."""

from __future__ import annotations

import json
import re
import shutil
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from docker.utils.build import exclude_paths

from benchmarks.testbed.process import run_program
from support.compose import ROOT, instructions

SOURCES = ("protos", "server", "client", "training")
PACKAGES = {
    *("lstmserve", "lstmserve_bundle", "lstmserve_client"),
    *("lstmserve_server", "lstmserve_training"),
}
# what lies about in a checkout, or in none yet
RUBBISH = (
    ".env",
    ".git/config",
    ".venv/bin/python",
    "data/train.jsonl",
    "model_store/.support-en.part/model.pt",
    "notes.txt",
    "server/lstmserve_server/.cli.py.swp",
    "server/lstmserve_server/__pycache__/cli.cpython-311.pyc",
    "training/lstmserve.egg-info/PKG-INFO",
    "training/lstmserve_training/.env",
)


def tracked(*folders: str) -> set[str]:
    """Files of the repository, those below these folders only."""
    listed = run_program(
        ["git", "ls-files", "-z", "--", *folders], cwd=ROOT, check=True, capture_output=True
    )
    return {*listed.stdout.decode().rstrip("\0").split("\0")}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository's files, with rubbish between them."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    for name in RUBBISH:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.fixture(scope="module")
def context(checkout: Path) -> set[str]:
    """The files that reach the builder."""
    patterns = (checkout / ".dockerignore").read_text().splitlines()
    wanted = [line for line in patterns if line and not line.startswith("#")]
    found = exclude_paths(str(checkout), wanted, dockerfile=".dockerignore")
    return {name for name in found if (checkout / name).is_file()} - {".dockerignore"}


def copied() -> dict[str, str]:
    """What the stages copy from the context, and where to."""
    pairs: dict[str, str] = {}
    for value in instructions("COPY"):
        *sources, target = value.split()
        if not value.startswith("--from="):
            pairs |= dict.fromkeys(sources, target)
    return pairs


def test_the_builder_gets_what_it_copies_and_nothing_else(context: set[str]) -> None:
    assert context == tracked(*copied())
    assert not context & {*RUBBISH}


def test_the_builder_gets_no_test_no_history_and_no_data(context: set[str]) -> None:
    tops = {PurePosixPath(name).parts[0] for name in context}
    files = {"LICENSE", "README.md", "pyproject.toml"}
    assert tops == {*SOURCES, *files, "model_store", "docker"}
    assert {name for name in context if name.startswith("docker/")} == {
        "docker/server/constraints.txt"
    }


def test_of_the_context_only_models_are_in_the_image_itself() -> None:
    assert instructions("COPY", "server") == [
        "--from=install /opt/lstmserve /opt/lstmserve",
        "model_store /models",
    ]


def test_the_models_in_the_image_are_whole_versions(checkout: Path, context: set[str]) -> None:
    versions: dict[str, set[str]] = {}
    for name in context:
        match = re.fullmatch(r"model_store/([^/]+/\d+)/(.+)", name)
        if match:
            versions.setdefault(match[1], set()).add(match[2])
    assert versions
    for name, files in versions.items():
        manifest = json.loads((checkout / "model_store" / name / "manifest.json").read_text())
        assert files == {"manifest.json", *manifest["files"]}


def test_the_wheel_is_made_of_the_context_alone_and_holds_the_packages(
    checkout: Path, context: set[str], tmp_path: Path
) -> None:
    folder = tmp_path / "source"
    for name in context:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(checkout / name, folder / name)
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    run_program([*build, "--directory", str(tmp_path)], cwd=folder, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    in_packages = {name.partition("/")[2] for name in tracked(*SOURCES)}
    assert names == {name for name in in_packages if name.partition("/")[0] in PACKAGES}
