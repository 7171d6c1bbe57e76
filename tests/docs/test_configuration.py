"""The reference of the options is what the server really takes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.testbed.process import run_program

DOCS = Path(__file__).parents[2] / "docs"


def generate(docs: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(docs / "generate.py"), *arguments]
    return run_program(command, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The documents, to be changed."""
    return shutil.copytree(DOCS, tmp_path / "docs")


def test_the_committed_reference_is_fresh() -> None:
    assert generate(DOCS, "--check").returncode == 0


@pytest.mark.parametrize("text", ["### `--max-running`", None])
def test_a_stale_or_missing_one_is_told_and_written_anew(copy: Path, text: str | None) -> None:
    reference = copy / "configuration.md"
    committed = reference.read_text()
    if text is None:
        reference.unlink()
    else:
        assert text in committed
        reference.write_text(committed.replace(text, ""))
    stale = generate(copy, "--check")
    assert (stale.returncode, "configuration.md" in stale.stderr) == (1, True)
    assert generate(copy).returncode == 0
    assert reference.read_text() == committed


def test_the_options_in_the_page_of_the_cache_are_kept_fresh(copy: Path) -> None:
    page = copy / "cache.md"
    committed = page.read_text()
    assert "--cache-threshold`](" in committed
    page.write_text(committed.replace("--cache-threshold`](", "--forgotten`]("))
    stale = generate(copy, "--check")
    assert (stale.returncode, "cache.md" in stale.stderr) == (1, True)
    assert generate(copy).returncode == 0
    assert page.read_text() == committed


def test_no_line_of_the_reference_is_too_long_to_be_read() -> None:
    lines = (DOCS / "configuration.md").read_text().splitlines()
    assert max(map(len, lines)) <= 120
