"""One loaded model for all engine tests, and what to compare it with."""

from __future__ import annotations

from pathlib import Path

import pytest

from lstmserve_server.store.loader import LoadedModel
from support.engines import load_tiny
from support.reference import ReferenceDecoder


@pytest.fixture(scope="session")
def tiny(tiny_store: Path) -> LoadedModel:
    return load_tiny(tiny_store)


@pytest.fixture(scope="session")
def reference(tiny: LoadedModel) -> ReferenceDecoder:
    return ReferenceDecoder(tiny)
