"""Processes that are forked from one that has imported everything, in place of a command.

A process that is forked has the arguments, environment, folder, standard files, limits and cores
that the command would have had, and is a child of whoever asked for it.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from lstmserve_server.children import die_with
from lstmserve_server.startup import end

# what Popen does to start a process, which has no public name, and where its arguments stand
HOOK = "_execute_child"
ARGUMENTS, PASSED, FOLDER, ENVIRONMENT, PIPES, GROUP = 0, 4, 5, 6, slice(10, 16), 22
START = getattr(subprocess.Popen, HOOK)
INTERPRETER = sys.executable

LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_AS, resource.RLIMIT_NPROC)
MAX_ORDER_BYTES = 1 << 17
MAX_FILES = 8
# they start nothing
ENGINES = {"lstmserve_server.engine.process.main", "support.dying_server"}
FIRST_SPARE_FILE = 500  # no program here has as many files when it forks
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


class Forks:
    """The end of a channel over which processes can be ordered; threads may share it."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._lock = threading.Lock()  # one order at a time

    def start(self, process: subprocess.Popen[Any], given: Sequence[Any], skipped: int) -> None:
        """Take the place of Popen's hook, which was given these arguments.

        The first ``skipped`` words of the command, and the interpreter, are left out. Raises
        OSError when nobody is there to fork.
        """
        order = {
            "arguments": [os.fspath(each) for each in given[ARGUMENTS][skipped + 1 :]],
            "environment": dict(os.environ if given[ENVIRONMENT] is None else given[ENVIRONMENT]),
            "folder": os.fspath(given[FOLDER] or Path.cwd()),
            "cores": sorted(os.sched_getaffinity(0)),
            "limits": {number: resource.getrlimit(number) for number in LIMITS},
            "passed": list(given[PASSED]),
            "group": given[GROUP],
        }
        with self._lock, _adopting():
            socket.send_fds(
                self._channel,
                [json.dumps(order).encode()],
                [*_standard_files(given), *given[PASSED]],
            )
            answer = self._channel.recv(64)
        if not answer:
            raise ConnectionResetError("the process that forks has ended")
        _is_started(process, int(answer), given)

    def close(self) -> None:
        """Let the process that forks end; what it forked goes on."""
        self._channel.close()


def is_module(given: Sequence[Any]) -> bool:
    """Return whether Popen's hook was given a module for this interpreter to run."""
    arguments = given[ARGUMENTS]
    return list(arguments[:1]) == [INTERPRETER] and "-m" in arguments


def answer_orders(channel: socket.socket, caller: int) -> None:
    """Fork as told, until nobody can tell any more."""
    while True:
        order, files, _, _ = socket.recv_fds(channel, MAX_ORDER_BYTES, MAX_FILES)
        if not order:
            return
        pid = _fork(json.loads(order), files, channel, caller)
        _close(*files)
        channel.send(str(pid).encode())


def _fork(order: dict[str, Any], files: Sequence[int], channel: socket.socket, caller: int) -> int:
    """Return the pid of a process whose parent is the caller.

    Its first parent is a process that ends at once: the caller adopts it.
    """
    pid_end, pid_start = os.pipe()
    go_end, go_start = os.pipe()
    between = os.fork()
    if not between:
        child = os.fork()
        if child:
            os.write(pid_start, str(child).encode())
            os._exit(0)
        channel.close()
        _close(pid_end, pid_start, go_start)
        os.read(go_end, 1)  # until the process between is gone
        _close(go_end)
        _run(order, files, caller)
    os.waitpid(between, 0)
    pid = int(os.read(pid_end, 64))
    _close(pid_end, pid_start, go_end, go_start)
    return pid


def _run(order: dict[str, Any], files: Sequence[int], caller: int) -> NoReturn:
    die_with(caller)
    os.sched_setaffinity(0, order["cores"])
    for number, limit in order["limits"].items():
        resource.setrlimit(int(number), limit)
    os.chdir(order["folder"])
    _become(order["arguments"], order["environment"], files, order["passed"], order["group"])


def _become(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    files: Sequence[int],
    passed: Sequence[int],
    group: int,
) -> NoReturn:
    """Be what a command starts; ``files`` are to have the numbers 0, 1, 2 and those passed."""
    if group >= 0:
        os.setpgid(0, group)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _take_files(files, (0, 1, 2, *passed))
    os.environ.clear()
    os.environ.update(environment)
    if arguments[0] == "-c":  # a program of one line
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606
    given = [each for each in arguments if each != "-P"]
    if "--workers" in given and given[given.index("--workers") + 1] != "1":
        setattr(subprocess.Popen, HOOK, _fork_here)
    elif not ENGINES & {*given}:
        _keep_a_process_that_forks()
    _run_python(given)


def _take_files(files: Sequence[int], numbers: Sequence[int]) -> None:
    """Give files these numbers, and close all others."""
    for spare, file in enumerate(files, FIRST_SPARE_FILE):
        os.dup2(file, spare)
    for spare, number in enumerate(numbers, FIRST_SPARE_FILE):
        os.dup2(spare, number, inheritable=True)
    kept = sorted(numbers)
    for before, after in zip(kept, [*kept[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
        os.closerange(before + 1, after)
    # as an interpreter opens them: whoever closes one of these objects leaves the file open
    sys.stdin, sys.stdout = (open(number, mode, closefd=False) for number, mode in enumerate("rw"))  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115


def _run_python(arguments: Sequence[str]) -> NoReturn:
    """Run what follows ``python`` on a command line, and end: a module or a file."""
    code: object = 0
    try:
        if arguments[0] == "-m":
            sys.argv[1:] = arguments[2:]
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv[:] = arguments
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as said:
        code = said.code
    except BaseException:  # noqa: BLE001 - shown, as an interpreter does in the end
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)  # noqa: T201 - as an interpreter does
    end(code if isinstance(code, int) else int(code is not None))


def _fork_here(self: subprocess.Popen[Any], *given: Any) -> None:  # noqa: ANN401
    """Take the place of the hook in a supervisor, whose workers are its forks.

    It has imported torch, and has never used it: so nothing is lost in a fork.
    """
    pid = os.fork()
    if not pid:
        setattr(subprocess.Popen, HOOK, START)
        files = _standard_files(given)
        _become(given[ARGUMENTS][1:], given[ENVIRONMENT], files, given[PASSED], given[GROUP])
    _is_started(self, pid, given)


def _standard_files(given: Sequence[Any]) -> list[int]:
    """Return what the child is to have as files 0, 1 and 2; -1 stands for what this process has."""
    pipes = given[PIPES]
    ends = (pipes[0], pipes[3], pipes[5])
    return [number if end == -1 else end for number, end in enumerate(ends)]


def _is_started(process: subprocess.Popen[Any], pid: int, given: Sequence[Any]) -> None:
    """Leave Popen as its own hook would."""
    process.pid = pid
    process._child_created = True  # type: ignore[attr-defined]  # noqa: SLF001
    process._close_pipe_fds(*given[PIPES])  # type: ignore[attr-defined]  # noqa: SLF001


def _keep_a_process_that_forks() -> None:
    """Leave a copy of this process, which is about to use torch: it forks what this one starts."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    this = os.getpid()
    if not os.fork():
        ours.close()
        os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_RDWR)
        _take_files([null, null, null, theirs.fileno()], (0, 1, 2, theirs.fileno()))
        die_with(this)
        answer_orders(theirs, this)
        os._exit(0)
    theirs.close()
    forks = Forks(ours)

    def start(self: subprocess.Popen[Any], *given: Any) -> None:  # noqa: ANN401
        forks.start(self, given, 0) if is_module(given) else START(self, *given)

    setattr(subprocess.Popen, HOOK, start)


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


def _close(*files: int) -> None:
    for file in files:
        os.close(file)
