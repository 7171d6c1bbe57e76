"""A real ``lstmserve-server`` on free ports, and what a server costs."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

STOP_SECONDS = 30
READY = re.compile(r"lstmserve is ready: .* on (\S+), metrics on (http://\S+/metrics)")
FREE_PORTS = ("--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")
# nobody balances load here: the server need not wait before it closes its port
AT_ONCE = ("--drain-notice-seconds", "0")


class ServerError(Exception):
    """A server did not start."""


@dataclass(frozen=True)
class RunningServer:
    """Where a server is; ``pid`` where it runs on this machine and is known."""

    target: str
    metrics_url: str | None = None
    pid: int | None = None


@contextmanager
def start_server(arguments: Sequence[str]) -> Iterator[RunningServer]:
    """Start the server, wait until it says that it is ready, stop it at the end."""
    command = [sys.executable, "-m", "lstmserve_server", *FREE_PORTS, *AT_ONCE, *arguments]
    with tempfile.TemporaryFile("a+") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)  # noqa: S603
        with process:
            try:
                yield _wait_until_ready(process, log)
            finally:
                process.terminate()
                process.communicate(timeout=STOP_SECONDS)


def _wait_until_ready(process: subprocess.Popen[str], log: IO[str]) -> RunningServer:
    line = process.stdout.readline() if process.stdout else ""
    ready = READY.match(line)
    if ready is None:
        log.seek(0)
        raise ServerError(f"the server did not start: {line}{log.read()}")
    return RunningServer(ready[1], ready[2], process.pid)
