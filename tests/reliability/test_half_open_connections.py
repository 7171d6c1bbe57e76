"""Connections that are opened and then silent."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support.bystanders import Expected, bystanders
from support.footprint import files_until, settled
from support.raw_caller import open_socket
from support.served import Served, serve

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
HEADERS_BEGUN = b"\x00\x00\x40\x01\x04\x00\x00\x00\x01\x82"
SAID = (b"", PREFACE[:7], PREFACE, PREFACE + SETTINGS, PREFACE + SETTINGS + HEADERS_BEGUN)
NUM_CONNECTIONS = 1_000
# what most systems give a process that does not ask for more
USUAL_FILE_LIMIT = 1_024
MOST_BYTES_OF_A_CONNECTION = 1 << 16


@contextmanager
def file_limit(soft: int | None = None) -> Iterator[None]:
    """For this process and those that it starts: so many, or as many as it may raise it to."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most if soft is None else soft, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def served(tiny_store: Path) -> Iterator[Served]:
    """A server started with a usual limit, and room for the connections on this side."""
    with ExitStack() as stack:
        with file_limit(USUAL_FILE_LIMIT - 200):
            running = stack.enter_context(serve(tiny_store, "--cache-bytes", "0"))
        stack.enter_context(file_limit())
        yield running


def open_and_be_silent(served: Served, stack: ExitStack) -> None:
    for number in range(NUM_CONNECTIONS):
        connection = stack.enter_context(open_socket(served.process.target))
        connection.sendall(SAID[number % len(SAID)])


def test_a_thousand_silent_connections_keep_nobody_out(served: Served, expected: Expected) -> None:
    """1,000 connections that say nothing, or stop in the middle of what they say, are more than
    the files that the server was given at first; it serves others as ever, keeps little for
    each, and lets go of all of them when they close.
    """
    before = settled(served)
    with bystanders(served.process.target, expected) as others, ExitStack() as stack:
        open_and_be_silent(served, stack)
        during = files_until(served, lambda count: count >= before.files + NUM_CONNECTIONS)
        with bystanders(served.process.target, expected):  # who connect only now
            others.replies()
        grown = during.resident_bytes - before.resident_bytes
        assert grown < NUM_CONNECTIONS * MOST_BYTES_OF_A_CONNECTION
        assert during.threads < before.threads + NUM_CONNECTIONS // 100
    after = files_until(served, lambda count: count <= before.files)
    # gRPC's own pool has one thread more or less at any time
    assert after.threads < before.threads + NUM_CONNECTIONS // 100


def test_silent_connections_do_not_keep_a_server_from_ending(served: Served) -> None:
    """A server that is told to stop drains and ends in order, whoever is still connected."""
    with ExitStack() as stack:
        open_and_be_silent(served, stack)
        served.process.send_signal(signal.SIGTERM)
        assert served.process.process.wait() == 0
