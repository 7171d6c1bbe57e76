"""Processes that this one starts: how they import, how it ends them, and that none outlives it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1  # linux/prctl.h
POLL_SECONDS = 0.05


def environment() -> dict[str, str]:
    """For an interpreter that is to import what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def send_signal(
    process: asyncio.subprocess.Process | subprocess.Popen[bytes], number: signal.Signals
) -> None:
    """Signal a process; one that has ended is no error.

    The standard library's own ways look first whether it has ended, and take its exit code from
    whoever waits for it.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


async def wait_for(process: subprocess.Popen[bytes]) -> int:
    """Return the exit code of a process; negative: the signal that ended it.

    Its number is free for another process no earlier than this task has seen its end, so no
    signal that is sent on this event loop goes astray.
    """
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:  # of an old kernel, or in a sandbox, or no file is free
        while process.poll() is None:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(POLL_SECONDS)
        return process.returncode
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return process.wait()


def die_with(parent_pid: int) -> str:
    """Let the kernel kill this process when the one that started it ends.

    A signal of the kernel, not a pipe that this process would have to read: it also comes
    through when the interpreter is stuck or stopped, so the port is free at once. Returns why
    the system does not allow it, or nothing.
    """
    trouble = ""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL):
        reason = os.strerror(ctypes.get_errno())
        trouble = f"this process may outlive the one that started it: PR_SET_PDEATHSIG: {reason}"
    if os.getppid() != parent_pid:  # it ended before we asked
        os.kill(os.getpid(), signal.SIGKILL)
    return trouble
