"""One of several processes of a server; its supervisor runs ``python -m lstmserve_server.worker``.

Standard input holds its order and what operators tell any worker, standard output takes its
answer and what they tell this one; the rest is an ordinary server.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Collection, Iterable
from contextlib import closing, suppress
from typing import TYPE_CHECKING, TextIO

import structlog

from lstmserve_server.children import die_with
from lstmserve_server.errors import StartupError
from lstmserve_server.process_messages import (
    ANSWERS,
    CHANGES,
    MAX_LINE_BYTES,
    ORDERS,
    STATES,
    Order,
    Refusal,
)
from lstmserve_server.startup import EXIT_CANNOT_START, end, end_on_signals, explain

if TYPE_CHECKING:
    from lstmserve_server.app import App


def main() -> None:
    """Serve as ordered until told to stop."""
    end_on_signals()
    # unbuffered: what comes after it is for the event loop
    with open(0, "rb", buffering=0, closefd=False) as stdin:
        order = ORDERS.validate_json(stdin.readline())
    troubles = [die_with(order.supervisor_pid), _pin(order.cores)]
    supervisor = _take_stdout()
    try:
        end(_serve(order, supervisor, [*filter(None, troubles)]))
    except (StartupError, ModuleNotFoundError) as error:
        _send(supervisor, ANSWERS.dump_json(Refusal(explain(error))))
    sys.exit(EXIT_CANNOT_START)


def _pin(cores: Collection[int]) -> str:
    """Keep to these cores, if any; returns why the system does not allow it, or nothing.

    Before torch and grpc start threads, which keep the cores they start with.
    """
    try:
        if cores:
            os.sched_setaffinity(0, cores)
    except OSError as error:  # the container has fewer cores than when its supervisor started
        return f"this worker keeps to no cores of its own: {error.strerror}"
    return ""


def _serve(order: Order, supervisor: TextIO, troubles: Iterable[str]) -> int:
    import uvloop

    from lstmserve_server.app import App
    from lstmserve_server.telemetry.logging import configure_logging

    async def run() -> int:
        for trouble in troubles:
            structlog.get_logger().warning("done without", reason=trouble)
        app = App(
            order.config,
            log,
            lambda change: _send(supervisor, CHANGES.dump_json(change)),
            order.directives,
        )
        listening = asyncio.create_task(_listen(app))
        try:
            return await app.run(lambda ready: _send(supervisor, ANSWERS.dump_json(ready)))
        finally:
            listening.cancel()

    telemetry = order.config.telemetry
    level = order.log_level or telemetry.log_level
    with closing(configure_logging(level, telemetry.log_format, worker=order.number)) as log:
        return uvloop.run(run())


def _take_stdout() -> TextIO:
    """Standard output for our answer alone: what anybody else prints goes to standard error."""
    supervisor = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return supervisor


def _send(supervisor: TextIO, line: bytes) -> None:
    with suppress(OSError):  # without a supervisor this process ends anyway
        print(line.decode(), file=supervisor, flush=True)


async def _listen(app: App) -> None:
    """Let the app apply what the supervisor passes on."""
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while (line := await reader.readline()).endswith(b"\n"):
        app.apply(STATES.validate_json(line))
    os.kill(os.getpid(), signal.SIGTERM)  # no supervisor is left, and the kernel did not kill us


if __name__ == "__main__":
    main()
