"""Logs that cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from benchmarks.testbed.ports import find_free_port
from benchmarks.testbed.process import START_SECONDS, spawn
from benchmarks.testbed.server import MODULE, command
from benchmarks.testbed.waiting import until
from support.bystanders import Expected, bystanders
from support.calls import connect


@contextmanager
def serving(store: Path, redirections: str, *arguments: str) -> Iterator[str]:
    """A server whose standard files a shell has redirected: its address.

    It tells nobody where it listens, so its ports are chosen here.
    """
    target, metrics = (f"127.0.0.1:{find_free_port()}" for _ in range(2))
    line = command(
        *("--model-store", str(store), "--listen", target, "--metrics-listen", metrics),
        *("--drain-notice-seconds", "0", "--cache-bytes", "0", *arguments),
        program=MODULE,
    )
    shell = ["sh", "-c", f'exec "$@" {redirections}', "sh", *line]
    with spawn(shell) as server:
        try:
            with connect(target) as channel:
                ready = grpc.channel_ready_future(channel)
                until(lambda: ready.done() or server.poll() is not None, "a start", START_SECONDS)
                assert ready.done(), f"the server ended with {server.poll()}"
            yield target
            assert server.poll() is None
        finally:
            server.terminate()
        assert server.wait() == 0


@pytest.mark.parametrize(
    ("redirections", "log_format"),
    [(">/dev/full 2>&1", "json"), ("2>&-", "auto"), ("<&- >&- 2>&-", "json")],
    ids=["full", "closed", "all-closed"],
)
def test_a_log_that_cannot_be_written_changes_nothing(
    tiny_store: Path, expected: Expected, redirections: str, log_format: str
) -> None:
    """A full disk under the log, or standard files that are closed: the server starts, replies,
    drains and ends with 0, and no connection is ever mistaken for standard error.
    """
    with (
        serving(tiny_store, redirections, "--log-format", log_format) as target,
        bystanders(target, expected),
    ):
        pass
