"""The program that ``preloaded`` forks servers from: it has imported the server, and idles."""

from __future__ import annotations

import gc
import signal
import socket
import sys
from pathlib import Path

# what a server, a worker and an engine import while they start
import lstmserve_server.app
import lstmserve_server.engine.process.engine
import lstmserve_server.settings
import lstmserve_server.telemetry.logging
import lstmserve_server.telemetry.spans  # noqa: F401
from benchmarks.testbed.forked import answer_orders
from benchmarks.testbed.trials import remembered
from lstmserve_server.engine.process import loader


def main(channel: socket.socket, caller: int, trials: str) -> None:
    """Answer the orders of one process, which may end at any time.

    ``trials`` is a folder for what was proved; without one each server proves what it serves.
    """
    if trials:
        loader.load_version = remembered(  # type: ignore[assignment]  # with positions alone
            loader.load_version, Path(trials)
        )
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asked
    gc.freeze()  # so that collections do not copy what is shared
    answer_orders(channel, caller)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3])
