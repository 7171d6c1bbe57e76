"""Whoever reads the log, or does not, no reply depends on it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.testbed import preloaded
from benchmarks.testbed.process import read_line
from benchmarks.testbed.server import READY, command
from lstmserve_client import Client

PIPE_BYTES = 65_536  # of a Linux pipe; a log line of one call is longer than 200
CALLS = 400


@pytest.mark.parametrize("reader", ["gone", "asleep"])
def test_calls_are_answered_and_the_server_drains_without_a_reader(
    tiny_store: Path, reader: str
) -> None:
    ours, theirs = os.pipe()
    server = preloaded.start(
        command(
            *("--model-store", str(tiny_store)),
            *("--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"),
        ),
        stdout=subprocess.PIPE,
        stderr=theirs,
        bufsize=0,
    )
    os.close(theirs)
    assert server.stdout is not None
    with server, server.stdout:
        ready = READY.match(read_line(server.stdout))
        assert ready is not None
        if reader == "gone":
            os.close(ours)
        with Client(ready[1]) as client:
            for _ in range(CALLS):
                assert client.models()
            assert client.reply("hello").text
        server.terminate()
        assert server.wait() == 0
    if reader == "asleep":
        os.close(ours)
