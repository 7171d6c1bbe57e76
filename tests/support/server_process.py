"""A real ``lstmserve-server`` process on free ports."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

READY = re.compile(r"lstmserve is ready: .* on (\S+), metrics on (http://\S+/metrics)")


MODULE = ("-m", "lstmserve_server")


def command(*arguments: str, program: Sequence[str] = MODULE) -> list[str]:
    """The server's command line, or that of a program that takes the same arguments."""
    return [sys.executable, *program, *arguments]


class ServerProcess:
    """Starts a server, waits until it says that it is ready, stops it at the end."""

    def __init__(self, store: Path, *arguments: str, program: Sequence[str] = MODULE) -> None:
        # appended to by the server, whose position in the file is ours too
        self._log: IO[str] = tempfile.TemporaryFile("a+")  # noqa: SIM115 - closed in __exit__
        self._program = program
        self._arguments = (
            *("--model-store", str(store)),
            *("--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"),
            # nobody balances load here: a server need not wait before it closes its port
            *("--drain-notice-seconds", "0", *arguments),
        )

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            command(*self._arguments, program=self._program),
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()  # blocks until ready, or until the process ends
        ready = READY.match(line)
        if ready is None:
            self.process.wait()
            said = f"not ready: {line!r} {self.read_log()}"
            self.__exit__(None, None, None)
            raise AssertionError(said)
        self.target, self.metrics_url = ready.groups()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """Ask the server to end, wait for it; its exit code."""
        self.process.terminate()
        return self.process.wait()

    def read_log(self) -> str:
        """What the server wrote to standard error so far."""
        self._log.flush()
        self._log.seek(0)
        return self._log.read()
