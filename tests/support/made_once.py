"""What takes long to make and is only read: once for all processes that run the tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder that the first who asks has made; the others wait for it."""
    base = factory.getbasetemp()
    # each process of pytest-xdist has a folder of its own, in one that they share
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"made-{name}"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            coming = folder.with_suffix(".coming")
            coming.mkdir()
            make(coming)
            coming.rename(folder)
    return folder
