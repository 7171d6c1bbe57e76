"""What a forked process does to be like one that was started by a command."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

MODULE = "-m"
FIRST_OWN_FILE = 3
HOOK = "_execute_child"  # what Popen does to start a process; it has no public name
_START = getattr(subprocess.Popen, HOOK)


def run_python(arguments: Sequence[str]) -> NoReturn:
    """Run what follows ``python`` on a command line, and end: a module or a file."""
    code: object = 1
    try:
        given = [each for each in arguments if each != "-P"]
        if given[0] == MODULE:
            sys.argv[1:] = given[2:]
            runpy.run_module(given[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv[:] = given
            runpy.run_path(given[0], run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - shown, as an interpreter does in the end
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def take_files(files: Sequence[int]) -> None:
    """Make these the standard files."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, closefd=False)  # noqa: SIM115 - as the first ones were
        for number, mode in enumerate("rww")
    )


def take_environment(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


def fork_workers() -> None:
    """Let this process, a supervisor, fork its workers instead of starting them.

    It has imported torch, and has never used it: so nothing is lost in a fork.
    """
    setattr(subprocess.Popen, HOOK, _fork)


def _fork(self: subprocess.Popen[bytes], *given: Any) -> None:  # noqa: ANN401
    """Take the place of the hook, whose arguments these are."""
    arguments, environment, pipes, group = given[0], given[6], given[10:16], given[-1]
    self.pid = os.fork()
    if not self.pid:
        ends = (pipes[0], pipes[3], pipes[5])
        _be_worker(arguments[1:], environment, ends, group)
    self._child_created = True  # type: ignore[attr-defined]
    self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


def _be_worker(
    arguments: Sequence[str], environment: Mapping[str, str], ends: Sequence[int], group: int
) -> NoReturn:
    setattr(subprocess.Popen, HOOK, _START)  # a worker uses torch: what it starts is no fork
    os.setpgid(0, max(group, 0))
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    take_files([number if end == -1 else end for number, end in enumerate(ends)])
    os.closerange(FIRST_OWN_FILE, os.sysconf("SC_OPEN_MAX"))
    take_environment(environment)
    if arguments[0] == "-c":  # a program of one line
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606
    run_python(arguments)
