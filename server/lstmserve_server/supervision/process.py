"""One worker process, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from lstmserve_server.children import environment, send_signal
from lstmserve_server.process_messages import (
    ANSWERS,
    CHANGES,
    MAX_LINE_BYTES,
    ORDERS,
    STATES,
    OperatorChange,
    OperatorState,
    Order,
    Ready,
    Refusal,
)

# -P: the folder in which the server was started is no place to import from
PROGRAM = ("-P", "-m", "lstmserve_server.worker")


class WorkerProcess:
    """A fresh interpreter: torch and grpc do not survive a fork."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.pid = process.pid
        self._process = process
        # both were asked for
        self._stdin = cast("asyncio.StreamWriter", process.stdin)
        self._stdout = cast("asyncio.StreamReader", process.stdout)

    def send(self, order: Order) -> None:
        """Give it its order, before anything else."""
        self._stdin.write(ORDERS.dump_json(order) + b"\n")

    def tell(self, state: OperatorState) -> None:
        """Tell it what operators changed on any worker."""
        self._stdin.write(STATES.dump_json(state) + b"\n")

    async def read_answer(self) -> Ready | Refusal | None:
        """What it says once it has started, or could not; None when it just ended."""
        line = await self._stdout.readline()
        return ANSWERS.validate_json(line) if line.endswith(b"\n") else None

    async def changes(self) -> AsyncIterator[OperatorChange]:
        """Yield what operators change on it, after its answer and until it ends."""
        while (line := await self._stdout.readline()).endswith(b"\n"):
            yield CHANGES.validate_json(line)

    async def wait(self) -> int:
        """Its exit code; negative: the signal that ended it."""
        return await self._process.wait()

    def terminate(self) -> None:
        """Tell it to drain."""
        send_signal(self._process, signal.SIGTERM)

    def kill(self) -> None:
        send_signal(self._process, signal.SIGKILL)


@asynccontextmanager
async def start_worker(order: Order) -> AsyncIterator[WorkerProcess]:
    """Start a worker with this order; it does not outlive the block. Raises OSError.

    Call on the main thread: the worker dies with the thread that started it.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *PROGRAM,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=MAX_LINE_BYTES,
        env=environment(),
        process_group=0,  # Ctrl-C on the terminal reaches the supervisor alone, which passes it on
    )
    worker = WorkerProcess(process)
    try:
        worker.send(order)
        yield worker
    finally:
        worker.kill()
        await worker.wait()
