"""The program that ``preloaded`` forks servers from: it has imported the server, and idles."""

from __future__ import annotations

import gc
import signal
import socket
import sys

# what a server, a worker and an engine import while they start
import lstmserve_server.app
import lstmserve_server.engine.process.engine
import lstmserve_server.engine.process.loader
import lstmserve_server.settings
import lstmserve_server.telemetry.logging
import lstmserve_server.telemetry.spans  # noqa: F401
from benchmarks.testbed.forked import answer_orders


def main(channel: socket.socket, caller: int) -> None:
    """Answer the orders of one process, which may end at any time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asked
    gc.freeze()  # so that collections do not copy what is shared
    answer_orders(channel, caller)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
