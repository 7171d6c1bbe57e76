"""A real ``lstmserve-server``, and other servers that say where they listen."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from benchmarks.testbed import preloaded
from benchmarks.testbed.ports import find_free_port
from benchmarks.testbed.process import START_SECONDS, Child, Program, read_line, spawn

# this server's line, and that of the other servers under benchmarks/compare
READY = re.compile(r"(?:lstmserve is ready: .*? on|ready) ([^\s,]+)(?:, metrics on (http://\S+))?")
FREE_PORTS = ("--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0")
# nobody balances load here: the server need not wait before it closes its port
AT_ONCE = ("--drain-notice-seconds", "0")
# what is asked for twice is generated twice: a kept reply would prove nothing
UNCACHED = ("--cache-bytes", "0", "--state-cache-bytes", "0")
MODULE = ("-m", "lstmserve_server")


@dataclass(frozen=True)
class RunningServer:
    """Where a server is; ``pid`` where it runs on this machine and is known."""

    target: str
    metrics_url: str | None = None
    pid: int | None = None


def command(*arguments: str, program: Sequence[str] = MODULE) -> list[str]:
    """Return the server's command line, or that of a program that takes the same arguments."""
    return [sys.executable, *program, *arguments]


class ReadyProgram(Program):
    """Says on standard output where it listens; asked to end, with its block."""

    target: str
    metrics_url: str

    @property
    def output(self) -> IO[str] | int:
        return subprocess.PIPE

    def wait_until_ready(self) -> None:
        line = self.read_line()
        ready = READY.match(line)
        if ready is None:
            self.fail(f"it said {line!r}")
        else:
            self.target, self.metrics_url = ready[1], ready[2] or ""

    def read_line(self) -> str:
        """Return the next line of standard output; empty at its end."""
        assert self.running.stdout is not None  # noqa: S101 - a pipe
        return read_line(self.running.stdout)

    def read_output(self) -> str:
        """Return what is left of standard output once it has ended."""
        return "".join(iter(self.read_line, ""))

    def end(self) -> None:
        self.stop()


class ServerProcess(ReadyProgram):
    """A server of a store, with a log that programs can read."""

    def __init__(
        self,
        store: Path,
        *arguments: str,
        program: Sequence[str] = MODULE,
        is_forked: bool = True,
    ) -> None:
        """``program`` is what the interpreter runs, with what it needs before the arguments."""
        self._is_forked = is_forked and program[0] != "-c"
        given = ("--model-store", str(store), *arguments)
        super().__init__(command(*FREE_PORTS, *AT_ONCE, *given, program=program))

    def read_entries(self) -> list[dict[str, Any]]:
        """Return its log so far, each line an object; one that is not whole yet is left out."""
        whole, _, _ = self.read_log().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def _spawn(self, **options: Any) -> Child:  # noqa: ANN401 - those of Popen
        start = preloaded.start if self._is_forked else spawn
        return start(self.command, **options)


class Replica(ReadyProgram):
    """One of several servers that serve the same, each at an address that stays its own."""

    def __init__(self, address: str, *arguments: str) -> None:
        super().__init__(command(*FREE_PORTS, "--listen", address, *arguments))
        self.address = address

    def end(self) -> None:
        self.kill()  # it may be frozen

    def _spawn(self, **options: Any) -> Child:  # noqa: ANN401 - those of Popen
        return preloaded.start(self.command, **options)


@contextmanager
def start_server(arguments: Sequence[str]) -> Iterator[RunningServer]:
    """Start this project's server; raises ProgramError if it does not become ready."""
    with start_process(command(*FREE_PORTS, *AT_ONCE, *arguments)) as server:
        yield server


@contextmanager
def start_process(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[RunningServer]:
    """Start a program, wait until it says that it is ready, stop it at the end."""
    with ReadyProgram(command, environment=environment) as running:
        yield RunningServer(running.target, running.metrics_url or None, running.pid)


def replicas(stores: Sequence[Path], *arguments: str) -> AbstractContextManager[list[Replica]]:
    """One server for each store, for as long as the block takes, which keeps nothing."""
    given = [("--model-store", str(store), *UNCACHED, *arguments) for store in stores]
    return start_replicas(given)


@contextmanager
def start_replicas(arguments: Sequence[Sequence[str]]) -> Iterator[list[Replica]]:
    """One server for each arguments, for as long as the block takes.

    All have the same port, as behind one name, and a host each.
    """
    port = find_free_port()
    made = [
        Replica(f"127.0.0.{number}:{port}", *AT_ONCE, *given)
        for number, given in enumerate(arguments, start=2)
    ]
    with ExitStack() as stack, ThreadPoolExecutor() as pool:  # starting takes a while
        for started in [pool.submit(stack.enter_context, each) for each in made]:
            started.result(START_SECONDS)
        yield made


def targets_of(servers: Sequence[Replica]) -> list[str]:
    return [server.address for server in servers]
