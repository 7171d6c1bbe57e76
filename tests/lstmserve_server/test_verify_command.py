"""Trying a version without serving it: what an operator asks before it goes into a store."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.testbed import preloaded
from benchmarks.testbed.process import Child, run_program, spawn
from benchmarks.testbed.server import command
from support.inexact import publish_stock
from support.stores import flip_byte


def verify(
    *arguments: str | Path, start: Callable[..., Child] = preloaded.start
) -> subprocess.CompletedProcess[str]:
    return run_program(
        command("verify", *map(str, arguments)),
        capture_output=True, text=True, check=False, start=start,
    )  # fmt: skip


@pytest.fixture
def version(tiny_store: Path, tmp_path: Path) -> Path:
    """A version wherever it lies."""
    return shutil.copytree(tiny_store / "tiny" / "1", tmp_path / "anywhere")


def test_an_exact_version_is_told(version: Path) -> None:
    done = verify(version, start=spawn)  # a forked one knows what others have proved
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "tiny version 1 is exact\n"


def test_a_stock_module_is_refused(version: Path) -> None:
    publish_stock(version)
    done = verify(version)
    assert done.returncode == 3
    assert "not exact: a reply beside 63 others" in done.stderr


def test_a_damaged_version_is_refused(version: Path) -> None:
    flip_byte(version / "model.pt")
    done = verify(version)
    assert done.returncode == 3
    assert "model.pt" in done.stderr
    assert "Traceback" not in done.stderr
    assert verify(version / "nothing").returncode == 3
    assert verify().returncode == 2
