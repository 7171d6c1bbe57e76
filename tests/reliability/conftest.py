"""What every fault is held against: the replies of a server to which nothing happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.testbed.server import ServerProcess
from support.bystanders import Expected, undisturbed_replies
from support.served import Served, serve

# what is asked for twice is generated twice: a kept reply would prove nothing
UNCACHED = ("--cache-bytes", "0", "--state-cache-bytes", "0")


@pytest.fixture(scope="session")
def expected(server: ServerProcess) -> Expected:
    """Requests, and the replies of an undisturbed server."""
    return undisturbed_replies(server.target)


@pytest.fixture(scope="module")
def served(tiny_store: Path) -> Iterator[Served]:
    """The server that a file's faults happen to, one after the other."""
    with serve(tiny_store, *UNCACHED) as running:
        yield running
