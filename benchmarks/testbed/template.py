"""The program that ``preloaded`` forks servers from: it imports the server, and nothing runs yet.

An order comes as one message with the server's three standard files, and its pid goes back.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import runpy
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

# what a server imports while it starts
import lstmserve_server.app
import lstmserve_server.settings_sources
import lstmserve_server.telemetry.logging
import lstmserve_server.telemetry.spans  # noqa: F401
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
    code: object = 1
    try:
        _prepare(order, files, caller)
        runpy.run_module("lstmserve_server", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - shown, as an interpreter does in the end
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def _prepare(order: dict[str, Any], files: Sequence[int], caller: int) -> None:
    die_with(caller)
    os.sched_setaffinity(0, order["cores"])
    for number, limit in order["limits"].items():
        resource.setrlimit(int(number), limit)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout, sys.stderr = (open(number, mode) for number, mode in enumerate("rww"))  # noqa: SIM115, PTH123
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv[1:] = order["arguments"]


def _close(*files: int) -> None:
    for file in files:
        os.close(file)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
