"""One server with the API, for tests that do not stop it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.openai_api import Api, serve_api


@pytest.fixture(scope="session")
def api(tiny_store: Path) -> Iterator[Api]:
    with serve_api(tiny_store, "--quantum-steps", "1") as running:  # many pieces of a reply
        yield running
