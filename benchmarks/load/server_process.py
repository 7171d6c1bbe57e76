"""A real ``lstmserve-server`` on free ports, and what a server costs."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

STOP_SECONDS = 30
# this server's line, and that of the other servers under benchmarks/compare
READY = re.compile(r"(?:lstmserve is ready: .*? on|ready) ([^\s,]+)(?:, metrics on (http://\S+))?")
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
    """Start this project's server; raises ServerError if it does not become ready."""
    command = [sys.executable, "-m", "lstmserve_server", *FREE_PORTS, *AT_ONCE, *arguments]
    with start_process(command) as server:
        yield server


@contextmanager
def start_process(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[RunningServer]:
    """Start a program, wait until it says that it is ready, stop it at the end."""
    with tempfile.TemporaryFile("a+") as log:
        process = subprocess.Popen(  # noqa: S603 - the program is ours
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
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
