"""Stores of versions that hold nothing, followed by a manager."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.store_bench import StoreBench


@pytest.fixture
def bench(tmp_path: Path) -> StoreBench:
    """A store that is empty, and not followed yet."""
    return StoreBench(tmp_path)


@pytest.fixture
async def stocked(bench: StoreBench) -> StoreBench:
    """Version 2 of ``a`` answers, and version 1 lies in the store; beside it there is ``b``."""
    await bench.start(("a", 1), ("a", 2), ("b", 1))
    return bench
