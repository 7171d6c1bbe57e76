"""Servers that are forked from an interpreter which has imported everything already.

Importing torch and the server takes four seconds of a core, and the tests start some 300 servers,
workers and trials. A forked one is a process like any other (``forked`` tells how), and what it
starts is forked as well.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.testbed.forked import ENVIRONMENT, HOOK, START, Forks, is_module
from benchmarks.testbed.process import CLEAN, Child, Command, ProgramError, spawn
from lstmserve_server.cli import QUIET_LIBRARIES

PROGRAM = Path(__file__).with_name("template.py")
MAX_TEMPLATES = 3  # each takes 250 MB, most of it shared with what it forked
# what no import looks at, what pytest writes there for every test, what a server sets for itself
HARMLESS = ("LSTMSERVE_", "OTEL_", "PYTEST_", "TOKENIZERS_PARALLELISM")


def start(command: Command, **options: Any) -> Child:  # noqa: ANN401 - those of Popen
    """Start a server by its command: a module, or a program that runs it, and its arguments."""
    return ForkedChild(command, options)


def remember_trials(folder: Path) -> None:
    """Let servers that are started from now on prove a version once for all (``trials``).

    Nobody else may write there. What measures how long a server takes to start does without.
    """
    _TEMPLATES.trials = str(folder)


@contextmanager
def forking() -> Iterator[None]:
    """Fork the modules that this process itself starts within the block: engines, without a server.

    Whatever else it starts meanwhile is started as ever.
    """

    def start(self: subprocess.Popen[Any], *given: Any) -> None:  # noqa: ANN401
        if is_module(given):
            _TEMPLATES.of(os.environ).forks.start(self, given, 0)
        else:
            START(self, *given)

    setattr(subprocess.Popen, HOOK, start)
    try:
        yield
    finally:
        setattr(subprocess.Popen, HOOK, START)


class ForkedChild(Child):
    """A process that a template forked; raises ProgramError when it is made, if none could."""

    def _execute_child(self, *given: Any) -> None:  # noqa: ANN401
        environment = os.environ if given[ENVIRONMENT] is None else given[ENVIRONMENT]
        template = _TEMPLATES.of(environment)
        try:
            template.forks.start(self, given, len(CLEAN))
        except OSError as error:
            raise ProgramError(f"the template ended with {template.wait()}: {error}") from None


class Template:
    """The interpreter that is forked; it has imported everything in this environment."""

    def __init__(self, environment: Mapping[str, str], trials: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.forks = Forks(ours)
        paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
        with theirs:
            self._process = spawn(
                # -P: the modules beside the program are not to be found by their bare names
                [
                    *(sys.executable, "-P", PROGRAM),
                    *(str(theirs.fileno()), str(os.getpid()), trials),
                ],
                env={**environment, **paths},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )

    def close(self) -> None:
        """End it; what it forked goes on."""
        self.forks.close()
        self._process.wait()

    def wait(self) -> int:
        """Return its exit code once it has ended."""
        return self._process.wait()


class Templates:
    """One for each environment, as variables decide how libraries are imported."""

    def __init__(self) -> None:
        self.trials = ""
        self._lock = threading.Lock()
        self._of: dict[frozenset[tuple[str, str]], Template] = {}  # those used last, at the end

    def of(self, environment: Mapping[str, str]) -> Template:
        """Return the template for it, which is started if there is none."""
        needed = _of_imports(environment)
        with self._lock:
            template = self._of.pop(needed, None) or Template(dict(needed), self.trials)
            self._of[needed] = template
            if len(self._of) > MAX_TEMPLATES:
                self._of.pop(next(iter(self._of))).close()
        return template

    def close(self) -> None:
        """End them; what they forked goes on."""
        for template in self._of.values():
            template.close()


_TEMPLATES = Templates()
atexit.register(_TEMPLATES.close)


def _of_imports(environment: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    # a server makes libraries quiet unless told otherwise
    known = QUIET_LIBRARIES | dict(environment)
    return frozenset(each for each in known.items() if not each[0].startswith(HARMLESS))
