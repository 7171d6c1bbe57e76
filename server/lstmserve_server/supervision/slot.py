"""A place for one worker, which is never left empty for long."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import structlog

from lstmserve_server.errors import StartupError
from lstmserve_server.failures import backoff_seconds
from lstmserve_server.process_messages import Order, Ready, Refusal
from lstmserve_server.supervision.broadcast import Broadcast
from lstmserve_server.supervision.process import WorkerProcess, start_worker
from lstmserve_server.telemetry.workers import WorkerPages

# exit codes of a worker that did as it was told, also when told before it could listen
ORDERLY = (0, -signal.SIGTERM)
# what a worker may take for its end beyond the time it was given to drain
LAST_STEPS_SECONDS = 5.0
FIRST_BACKOFF_SECONDS = 0.1
# a worker that served this long did not fail for the reason that the one before it did
STEADY_SECONDS = 60.0

log = structlog.get_logger()


class WorkerSlot:
    """Keeps one worker running until told to stop."""

    def __init__(
        self,
        order: Order,
        pages: WorkerPages,
        stopping: asyncio.Event,
        on_ready: Callable[[Ready], None],
        broadcast: Broadcast,
    ) -> None:
        """``on_ready`` is told of the first worker only."""
        self._order = order
        self._pages = pages
        self._stopping = stopping
        self._on_ready = on_ready
        self._broadcast = broadcast
        self._was_ready = False
        self.ended_badly = False  # when told to stop

    async def keep(self) -> None:
        """Run a worker, and another one whenever it ends, until told to stop.

        Raises StartupError when the first one cannot start. Canceled, it kills its worker.
        """
        failures = 0
        while not self._stopping.is_set():
            began_at = time.monotonic()
            reason = await self._run_worker()
            if self._stopping.is_set():
                return
            failures = count_failures(failures, time.monotonic() - began_at)
            await self._pause(backoff_seconds(failures, FIRST_BACKOFF_SECONDS), reason)
            self._pages.count_restart()

    async def _run_worker(self) -> str:
        """One worker from start to end; returns why it ended."""
        try:
            order = replace(
                self._order,
                directives=self._broadcast.directives,
                log_level=self._broadcast.log_level,
            )
            async with start_worker(order) as worker:
                ending = asyncio.create_task(self._end_when_told(worker))
                try:
                    return await self._follow(worker)
                finally:
                    ending.cancel()
        except OSError as error:  # no memory, no process, no file descriptor left
            return self._check_start(f"no worker can be started: {error.strerror or error}")

    async def _follow(self, worker: WorkerProcess) -> str:
        answer = await worker.read_answer()
        if isinstance(answer, Ready):
            return await self._serve(worker, answer)
        code = await worker.wait()
        if isinstance(answer, Refusal):
            return self._check_start(answer.reason)
        reason = f"{_describe(code)} before it was ready"
        return reason if code in ORDERLY else self._check_start(f"a worker ended: {reason}")

    async def _serve(self, worker: WorkerProcess, ready: Ready) -> str:
        source = self._pages.add(f"http://{ready.metrics_listen}/metrics", self._order.number)
        log.info("worker is ready", worker=self._order.number, pid=worker.pid)
        if not self._was_ready:
            self._was_ready = True
            self._on_ready(ready)
        try:
            with self._broadcast.subscribed(worker.tell) as publish:
                async for change in worker.changes():
                    publish(change)
            code = await worker.wait()
        finally:
            self._pages.retire(source)
        self.ended_badly = self._stopping.is_set() and code not in ORDERLY
        return _describe(code)

    async def _end_when_told(self, worker: WorkerProcess) -> None:
        await self._stopping.wait()
        worker.terminate()
        drain = self._order.config.drain
        await asyncio.sleep(max(drain.grace_seconds, drain.notice_seconds) + LAST_STEPS_SECONDS)
        log.error("worker does not end; it is killed", worker=self._order.number)
        worker.kill()

    async def _pause(self, seconds: float, reason: str) -> None:
        log.error(
            "worker has ended; it is started again",
            worker=self._order.number,
            reason=reason,
            after_seconds=seconds,
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _check_start(self, reason: str) -> str:
        """The same reason, unless it ends the server: no worker was ever ready here."""
        if self._was_ready or self._stopping.is_set():
            return reason
        raise StartupError(reason)


def count_failures(failures: int, lived_seconds: float) -> int:
    """Return the failures in a row, when after so many another worker lived so long."""
    return 1 if lived_seconds >= STEADY_SECONDS else failures + 1


def _describe(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    return f"signal {-code} ({signal.strsignal(-code)})"
