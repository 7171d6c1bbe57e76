"""Model stores put together, and spoiled, from a good version."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from lstmserve_bundle.bundle import describe_file
from lstmserve_bundle.manifest import MANIFEST_NAME


def copy_version(source: Path, store: Path, name: str = "tiny", version: int = 1) -> Path:
    """Put a copy of a version folder into a store under this name and number."""
    folder = shutil.copytree(source, store / name / str(version))
    edit_manifest(folder, name=name, version=version)
    return folder


def make_folders(store: Path, *paths: str) -> None:
    """Make these folders; those with a number have a manifest, of which nothing is right."""
    for path in paths:
        (store / path).mkdir(parents=True)
        if path.rpartition("/")[2].isdecimal():
            (store / path / MANIFEST_NAME).write_text("{}")


def edit_manifest(folder: Path, **values: object) -> None:
    """Set top-level keys, checked by nobody."""
    path = folder / MANIFEST_NAME
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, **values}), encoding="utf-8")


def accept_files(folder: Path) -> None:
    """Make the manifest's sizes and checksums those of the files that are there."""
    document = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    files = {name: describe_file(folder / name).model_dump() for name in document["files"]}
    edit_manifest(folder, files=files)


def drop_file(folder: Path, name: str) -> None:
    """Delete a file that the manifest may name, and its name there."""
    (folder / name).unlink(missing_ok=True)
    files = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))["files"]
    edit_manifest(folder, files={other: each for other, each in files.items() if other != name})


def flip_byte(path: Path) -> None:
    """Change one byte in the middle; the size stays."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
