from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lstmserve_bundle import Bundle, open_bundle

Document = dict[str, Any]


@pytest.fixture(scope="session")
def bundle(tiny_store: Path) -> Bundle:
    """The tiny version, opened."""
    return open_bundle(tiny_store / "tiny" / "1")


@pytest.fixture
def folder(tiny_store: Path, tmp_path: Path) -> Path:
    """A copy of the tiny version that a test may damage."""
    return Path(shutil.copytree(tiny_store / "tiny" / "1", tmp_path / "1"))


@pytest.fixture
def edit(folder: Path) -> Callable[[Callable[[Document], object]], None]:
    """Changes the copy's manifest as a document."""
    path = folder / "manifest.json"

    def change(by: Callable[[Document], object]) -> None:
        document = json.loads(path.read_text(encoding="utf-8"))
        by(document)
        path.write_text(json.dumps(document), encoding="utf-8")

    return change
