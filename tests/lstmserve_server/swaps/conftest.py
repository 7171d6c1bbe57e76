"""Two versions that answer differently, and a server that serves both from its start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.live_server import LiveServer, serve_live
from support.swapped_replies import SwappedReplies

ALL = ("--version-policy", "all")


@pytest.fixture(scope="session")
def sources(tiny_store: Path, other_version: Path) -> dict[str, Path]:
    """The folders of two good versions: ``old`` and ``new`` weights."""
    return {"old": tiny_store / "tiny" / "1", "new": other_version}


@pytest.fixture(scope="session")
def both(
    sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    """A server of version 1, the old weights, and 2, the new; whoever changes that mends it."""
    with serve_live(tmp_path_factory.mktemp("both"), sources, ["old", "new"], *ALL) as live:
        yield live


@pytest.fixture(scope="session")
def expected(both: LiveServer) -> SwappedReplies:
    """What either kind of weights answers."""
    return SwappedReplies(both)
