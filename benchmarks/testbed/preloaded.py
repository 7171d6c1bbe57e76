"""Servers that are forked from an interpreter which has imported everything already.

Importing torch and the server takes four seconds of a core, and the tests start some 150
servers. A forked server is a process like any other, and a child of whoever asked for it: it has a
pid, standard files, signals, arguments and an environment of its own, the limits and cores of who
asked, and runs the same module. One that has workers forks these.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.testbed.process import CLEAN, Child, Command, ProgramError, spawn
from lstmserve_server.cli import QUIET_LIBRARIES

PROGRAM = Path(__file__).with_name("template.py")
MAX_TEMPLATES = 3  # each takes 250 MB, most of it shared with what it forked
LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_AS, resource.RLIMIT_NPROC)
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
# what no import looks at, what pytest writes there for every test, what a server sets for itself
HARMLESS = ("LSTMSERVE_", "OTEL_", "PYTEST_", "TOKENIZERS_PARALLELISM")


def start(command: Command, **options: Any) -> Child:  # noqa: ANN401 - those of Popen
    """Start a server by its command: a module, or a program that runs it, and its arguments."""
    return ForkedChild(command, options)


def _has_workers(arguments: Sequence[str]) -> bool:
    return "--workers" in arguments and arguments[arguments.index("--workers") + 1] != "1"


class ForkedChild(Child):
    """A process that the template forked."""

    def _execute_child(self, *given: Any) -> None:  # noqa: ANN401
        """Fork instead of what Popen does; it has no public hook for this."""
        pipes = given[10:16]  # both ends of standard input, output and error; -1: inherited
        environment = os.environ if given[6] is None else given[6]
        arguments = given[0][len(CLEAN) + 1 :]  # after the interpreter
        order = {
            "arguments": arguments,
            "forks_workers": _has_workers(arguments),
            "folder": os.fspath(given[5] or Path.cwd()),
            "environment": dict(environment),
            "cores": sorted(os.sched_getaffinity(0)),
            "limits": {number: resource.getrlimit(number) for number in LIMITS},
        }
        ends = (pipes[0], pipes[3], pipes[5])
        files = [number if end == -1 else end for number, end in enumerate(ends)]
        self.pid = _TEMPLATES.of(environment).fork(order, files)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


class Template:
    """The interpreter that is forked; it has imported everything in this environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._lock = threading.Lock()  # one order at a time
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
        with theirs:
            self._process = spawn(
                # -P: the modules beside the program are not to be found by their bare names
                [sys.executable, "-P", str(PROGRAM), str(theirs.fileno()), str(os.getpid())],
                env={**environment, **paths},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )

    def fork(self, order: Mapping[str, object], files: Sequence[int]) -> int:
        """Return the pid of a new child of this process; raises ProgramError."""
        with self._lock, _adopting():
            socket.send_fds(self._channel, [json.dumps(order).encode()], files)
            answer = self._channel.recv(64)
        if not answer:
            raise ProgramError(f"the template ended with {self._process.wait()}")
        return int(answer)

    def close(self) -> None:
        """End it; what it forked goes on."""
        self._channel.close()
        self._process.wait()


class Templates:
    """One for each environment, as variables decide how libraries are imported."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[frozenset[tuple[str, str]], Template] = {}  # those used last, at the end

    def of(self, environment: Mapping[str, str]) -> Template:
        """Return the template for it, which is started if there is none."""
        needed = _of_imports(environment)
        with self._lock:
            template = self._of.pop(needed, None) or Template(dict(needed))
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


@contextmanager
def _adopting() -> Iterator[None]:
    """Make a process whose parent ends meanwhile a child of this one."""
    _set_subreaper(1)
    try:
        yield
    finally:
        _set_subreaper(0)


def _set_subreaper(is_on: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, is_on, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
