"""What takes long to make and is only read: once for all processes that run the tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

MAKE_SECONDS = 170  # two trainings, on a machine that others use


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder that the first who asks has made; the others wait for it."""
    base = factory.getbasetemp()
    # each process of pytest-xdist has a folder of its own, in one that they share
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"made-{name}"
    with FileLock(f"{folder}.lock", timeout=MAKE_SECONDS):
        if not folder.exists():
            coming = folder.with_suffix(".coming")
            shutil.rmtree(coming, ignore_errors=True)  # of one whose time ran out
            coming.mkdir()
            make(coming)
            coming.rename(folder)
    return folder
