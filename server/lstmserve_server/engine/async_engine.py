"""The engine on a thread of its own, and its outputs on the event loop."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import deque
from collections.abc import Callable, Sequence

from lstmserve_server.engine.engine import Clock, Engine, EngineLoad
from lstmserve_server.engine.outbox import OnState, Outbox
from lstmserve_server.engine.output import Output, Result
from lstmserve_server.engine.prefix import WHOLE_PROMPT, PromptStates
from lstmserve_server.engine.reply_stream import ReplyStream
from lstmserve_server.engine.request import NO_CLAIM, Claim, GenerationRequest
from lstmserve_server.errors import EngineDeadError, LstmserveError


class AsyncEngine:
    """Runs an engine in a thread; requests come from one event loop.

    Outputs reach the loop once per quantum for all rows, not once per token: waking the
    loop costs more than a decode step of a small model. A reply that is more than
    ``park_after_tokens`` ahead of its reader is parked until the reader comes.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        clock: Clock,
        on_death: Callable[[BaseException], None],
        park_after_tokens: int,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._on_death = on_death
        self._park_after_tokens = park_after_tokens
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ids = itertools.count()
        self._outboxes: dict[int, Outbox] = {}
        self._is_dead = False  # like the outboxes, changed by the loop only
        self._commands: deque[Callable[[], None]] = deque()
        self._refused: list[tuple[int, Result]] = []  # touched by the thread only
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"engine-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread. Call this from the running event loop."""
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

    # --- on the event loop -----------------------------------------------------------

    def generate(
        self,
        request: GenerationRequest,
        claim: Claim = NO_CLAIM,
        states: PromptStates = WHOLE_PROMPT,
        on_state: OnState | None = None,
    ) -> ReplyStream:
        """Begin a reply, and return its stream; closing the stream leaves the reply.

        Wanted states go to ``on_state``, in order and before the reply's later outputs. Raises
        EngineDeadError, or ValueError when the states do not fit the prompt or the model.
        """
        if self._is_dead or self._closing:
            raise EngineDeadError("the engine has failed or was closed")
        self._engine.check(request, states)  # here: on the thread it would end the engine
        reply_id, arrived_at = next(self._ids), self._clock()
        outbox = self._outboxes[reply_id] = Outbox(on_state)
        self._send(lambda: self._submit(reply_id, request, arrived_at, claim, states))
        return ReplyStream(reply_id, outbox, self)

    def unpark(self, reply_id: int) -> None:
        """Let a reply go on, whose reader has taken all there was."""
        self._send(lambda: self._engine.unpark(reply_id))

    def amend(self, reply_id: int, claim: Claim) -> None:
        """Give a reply another deadline and priority."""
        self._send(lambda: self._engine.amend(reply_id, claim))

    def leave(self, reply_id: int, num_left: int) -> None:
        """Cancel the reply of a reader who left, unless its end was delivered."""
        self._engine.count_undelivered(num_left)
        if self._outboxes.pop(reply_id, None) is not None:
            requested_at = self._clock()
            self._send(lambda: self._engine.cancel(reply_id, requested_at))

    def _deliver(self, results: Sequence[tuple[int, Result]], message_tokens: int = 1) -> None:
        for reply_id, result in results:
            outbox = self._outboxes.get(reply_id)
            if outbox is None:  # cancelled while the engine was at work
                if isinstance(result, Output):
                    self._engine.count_undelivered(len(result.token_ids))
                continue
            outbox.put(result, message_tokens)
            if outbox.is_complete:
                del self._outboxes[reply_id]

    def _die(self, error: BaseException) -> None:
        self._is_dead = True
        dead = EngineDeadError("the engine has failed")
        self._deliver([(reply_id, dead) for reply_id in [*self._outboxes]])
        self._on_death(error)

    def _send(self, command: Callable[[], None]) -> None:
        with self._wake:
            self._commands.append(command)
            self._wake.notify()

    # --- on the engine's thread ------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._wait_for_work():
                self._run_commands()
                results = self._engine.step()
                self._park_slow(results)
                self._hand_over(results)
        except BaseException as error:  # noqa: BLE001 - a dead engine must never go unnoticed
            self._call_loop(self._die, error)

    def _wait_for_work(self) -> bool:
        """Sleep while there is nothing to do; return False when it is time to end."""
        with self._wake:
            while not (self._commands or self._engine.has_work or self._closing):
                self._wake.wait()
            return not self._closing

    def _run_commands(self) -> None:
        while self._commands:
            self._commands.popleft()()
        refused, self._refused = self._refused, []
        self._hand_over(refused)

    def _park_slow(self, results: Sequence[tuple[int, Result]]) -> None:
        """Park the replies that are too far ahead of their readers.

        Do so before the reader gets what was just made: it comes for that, and sees the mark.
        """
        for reply_id, result in results:
            outbox = self._outboxes.get(reply_id)
            if outbox is None or not isinstance(result, Output):
                continue
            if outbox.count_made(len(result.token_ids)) > self._park_after_tokens:
                outbox.is_parked = True
                self._engine.park(reply_id)

    def _submit(
        self,
        reply_id: int,
        request: GenerationRequest,
        arrived_at: float,
        claim: Claim,
        states: PromptStates,
    ) -> None:
        try:
            self._engine.submit(reply_id, request, arrived_at, claim, states)
        except LstmserveError as error:
            self._refused.append((reply_id, error))

    def _hand_over(self, results: Sequence[tuple[int, Result]]) -> None:
        if results:
            self._call_loop(self._deliver, results, self._engine.message_tokens)

    def _call_loop(self, callback: Callable[..., None], *arguments: object) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback, *arguments)
