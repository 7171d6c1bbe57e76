"""Principals for servers of these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.callers import Callers


@pytest.fixture
def callers(tmp_path: Path) -> Callers:
    """One who generates, and one who administers."""
    made = Callers(tmp_path / "callers.toml")
    made.add("shop", "generate")
    made.add("ops", "admin")
    return made
