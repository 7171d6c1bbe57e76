"""The engine on a thread of its own, and its outputs on the event loop."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from lstmserve_server.engine.engine import Clock, Engine, EngineLoad
from lstmserve_server.engine.output import Output
from lstmserve_server.engine.request import GenerationRequest
from lstmserve_server.errors import EngineDeadError, LstmserveError

Result = Output | LstmserveError


class AsyncEngine:
    """Runs an engine in a thread; requests come from one event loop.

    Outputs reach the loop once per quantum for all rows, not once per token: waking the
    loop costs more than a decode step of a small model.
    """

    def __init__(
        self, engine: Engine, name: str, clock: Clock, on_death: Callable[[BaseException], None]
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._on_death = on_death
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ids = itertools.count()
        self._queues: dict[int, asyncio.Queue[Result]] = {}
        self._is_dead = False  # like the queues, touched by the loop only
        self._commands: deque[Callable[[], None]] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"engine-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread; call from the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def close(self) -> None:
        """Stop the thread after its current quantum and wait for it."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def load(self) -> EngineLoad:
        """How busy the engine is, as of its last quantum."""
        return self._engine.load

    async def generate(self, request: GenerationRequest) -> AsyncIterator[Output]:
        """The outputs of one reply, the last of which has ``finish``.

        Raises QueueFullError or EngineDeadError. Leaving early cancels the reply.
        """
        if self._is_dead:
            raise EngineDeadError("the engine has failed")
        reply_id, arrived_at = next(self._ids), self._clock()
        queue = self._queues[reply_id] = asyncio.Queue()
        self._send(lambda: self._submit(reply_id, request, arrived_at))
        try:
            while True:
                result = await queue.get()
                if isinstance(result, LstmserveError):
                    raise result
                yield result
                if result.finish is not None:
                    return
        finally:
            # one whose end was delivered is gone from here already
            if self._queues.pop(reply_id, None) is not None:
                self._send(lambda: self._engine.cancel(reply_id))

    # --- on the event loop ---------------------------------------------------------

    def _deliver(self, results: Sequence[tuple[int, Result]]) -> None:
        for reply_id, result in results:
            queue = self._queues.get(reply_id)
            if queue is None:  # cancelled while the engine was at work
                if isinstance(result, Output):
                    self._engine.count_undelivered(len(result.token_ids))
                continue
            queue.put_nowait(result)
            if isinstance(result, LstmserveError) or result.finish is not None:
                del self._queues[reply_id]

    def _die(self, error: BaseException) -> None:
        self._is_dead = True
        dead = EngineDeadError("the engine has failed")
        self._deliver([(reply_id, dead) for reply_id in [*self._queues]])
        self._on_death(error)

    def _send(self, command: Callable[[], None]) -> None:
        with self._wake:
            self._commands.append(command)
            self._wake.notify()

    # --- on the engine's thread ----------------------------------------------------

    def _run(self) -> None:
        try:
            while self._wait_for_work():
                self._run_commands()
                self._hand_over(self._engine.step())
        except BaseException as error:  # noqa: BLE001 - a dead engine must never go unnoticed
            self._call_loop(self._die, error)

    def _wait_for_work(self) -> bool:
        """Sleep while there is nothing to do; False when it is time to end."""
        with self._wake:
            while not (self._commands or self._engine.has_work or self._closing):
                self._wake.wait()
            return not self._closing

    def _run_commands(self) -> None:
        while self._commands:
            self._commands.popleft()()

    def _submit(self, reply_id: int, request: GenerationRequest, arrived_at: float) -> None:
        try:
            self._engine.submit(reply_id, request, arrived_at)
        except LstmserveError as error:
            self._hand_over([(reply_id, error)])

    def _hand_over(self, results: Sequence[tuple[int, Result]]) -> None:
        if results:
            self._call_loop(self._deliver, results)

    def _call_loop(self, callback: Callable[[Any], None], argument: object) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback, argument)
