"""One of several processes of a server; its supervisor runs ``python -m lstmserve_server.worker``.

Standard input holds its order, standard output takes its answer; the rest is an ordinary server.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import closing, suppress
from typing import TextIO

from lstmserve_server.errors import StartupError
from lstmserve_server.ready import Ready
from lstmserve_server.startup import EXIT_CANNOT_START, end_on_signals, explain
from lstmserve_server.supervision.lifeline import die_with
from lstmserve_server.supervision.messages import ANSWERS, ORDERS, Order, Refusal


def main() -> None:
    """Serve as ordered until told to stop."""
    end_on_signals()
    order = ORDERS.validate_json(sys.stdin.buffer.read())
    die_with(order.supervisor_pid)
    supervisor = _take_stdout()
    try:
        sys.exit(_serve(order, supervisor))
    except (StartupError, ModuleNotFoundError) as error:
        _answer(supervisor, Refusal(explain(error)))
    sys.exit(EXIT_CANNOT_START)


def _serve(order: Order, supervisor: TextIO) -> int:
    # before torch and grpc start threads, which keep the cores they start with
    if order.cores:
        os.sched_setaffinity(0, order.cores)
    from lstmserve_server.app import App
    from lstmserve_server.telemetry.logging import configure_logging

    async def run() -> int:
        return await App(order.config, log).run(lambda ready: _answer(supervisor, ready))

    with closing(configure_logging(order.log_level, order.log_format, worker=order.number)) as log:
        return asyncio.run(run())


def _take_stdout() -> TextIO:
    """Standard output for our answer alone: what anybody else prints goes to standard error."""
    supervisor = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return supervisor


def _answer(supervisor: TextIO, answer: Ready | Refusal) -> None:
    with suppress(OSError), supervisor:  # without a supervisor this process ends anyway
        supervisor.write(f"{ANSWERS.dump_json(answer).decode()}\n")


if __name__ == "__main__":
    main()
