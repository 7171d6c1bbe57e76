"""One loaded model for all cache tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from lstmserve_server.store.loader import LoadedModel
from support.engines import load_tiny


@pytest.fixture(scope="session")
def tiny(tiny_store: Path) -> LoadedModel:
    return load_tiny(tiny_store)
