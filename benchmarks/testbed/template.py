"""The program that ``preloaded`` forks servers from: it imports the server, and nothing runs yet.

An order comes as one message with the server's three standard files, and its pid goes back.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

# what a server imports while it starts
import lstmserve_server.app
import lstmserve_server.settings_sources
import lstmserve_server.telemetry.logging
import lstmserve_server.telemetry.spans  # noqa: F401
from benchmarks.testbed.forked import fork_workers, run_python, take_environment, take_files
from lstmserve_server.lifeline import die_with

MAX_ORDER_BYTES = 1 << 17


def main(channel: socket.socket, caller: int) -> None:
    """Fork as told, until nobody can tell any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asked
    gc.freeze()  # so that collections do not copy what is shared
    while True:
        order, files, _, _ = socket.recv_fds(channel, MAX_ORDER_BYTES, 3)
        if not order:
            return
        pid = _fork(json.loads(order), files, channel, caller)
        for file in files:
            os.close(file)
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
        _serve(order, files, caller)
    os.waitpid(between, 0)
    pid = int(os.read(pid_end, 64))
    _close(pid_end, pid_start, go_end, go_start)
    return pid


def _serve(order: dict[str, Any], files: Sequence[int], caller: int) -> NoReturn:
    """Be the server that was asked for."""
    die_with(caller)
    os.sched_setaffinity(0, order["cores"])
    for number, limit in order["limits"].items():
        resource.setrlimit(int(number), limit)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    take_files(files)
    _close(*files)
    os.chdir(order["folder"])
    take_environment(order["environment"])
    if order["forks_workers"]:
        fork_workers()
    run_python(order["arguments"])


def _close(*files: int) -> None:
    for file in files:
        os.close(file)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
