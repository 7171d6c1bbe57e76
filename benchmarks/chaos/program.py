"""A program at an address of its own, which it has again whenever it is started again."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.cache.page import scrape
from benchmarks.load.server_process import RunningServer, ServerError

HOST = "127.0.0.1"
PORTS = range(22_000, 32_000)  # below those that connections are given meanwhile
START_SECONDS = 60.0
PAUSE_SECONDS = 0.01


class Program:
    """Not running at first; ended, whatever state it is in, with the block."""

    def __init__(self, command: Sequence[str], address: str, log: Path) -> None:
        """``address`` is HOST:PORT, where the command makes it listen."""
        self._command = command
        self._log = log
        self.address = address

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Returns when it listens; raises ServerError if it never does."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - the program is ours
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        ends_at = time.monotonic() + START_SECONDS
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > ends_at:
                self.kill()
                raise ServerError(f"it did not start: {self._log.read_text('utf-8')}")
            time.sleep(PAUSE_SECONDS)

    def kill(self) -> None:
        """End at once, frozen or not."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end as it likes, and wait for that; its exit code."""
        self.process.terminate()
        return self.process.wait()

    def freeze(self) -> None:
        """Let connections be, and answer nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def _listens(self) -> bool:
        host, port = self.address.rsplit(":", 1)
        with suppress(OSError), socket.create_connection((host, int(port)), START_SECONDS):
            return True
        return False


def find_free_address() -> str:
    """An address that nobody uses and no connection is given; raises ServerError."""
    return f"{HOST}:{find_free_port()}"


def find_free_port() -> int:
    """The same on every loopback address."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as free, suppress(OSError):
            free.bind(("", port))
            return port
    raise ServerError(f"no free port from {PORTS.start} to {PORTS.stop - 1}")


class Replica(Program):
    """One of several servers that serve the same."""

    def __init__(self, address: str, log: Path, *arguments: str) -> None:
        metrics = find_free_address()
        self.metrics_url = f"http://{metrics}/metrics"
        places = ("--listen", address, "--metrics-listen", metrics)
        command = [sys.executable, "-m", "lstmserve_server", *places, *arguments]
        super().__init__(command, address, log)

    def is_at_work(self) -> bool:
        """Whether it is in the middle of a reply."""
        page = scrape(RunningServer(self.address, self.metrics_url))
        return page.total("running_sequences") > 0
