"""Continuous batching: one model, many replies, one thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lstmserve_bundle import Tokenizer
from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.batch import Batch
from lstmserve_server.engine.decoding.runner import Decoded, Runner
from lstmserve_server.engine.observer import EngineObserver, Measuring
from lstmserve_server.engine.output import Output, Result
from lstmserve_server.engine.prefix import WHOLE_PROMPT, KnownState, PromptStates
from lstmserve_server.engine.request import NO_CLAIM, Claim, GenerationRequest
from lstmserve_server.engine.scheduling.pace import Pace
from lstmserve_server.engine.scheduling.scheduler import Scheduler
from lstmserve_server.engine.scheduling.sequence import Sequence, Stage
from lstmserve_server.engine.scheduling.stopping import begin_text
from lstmserve_server.errors import DeadlineError

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """How busy an engine is."""

    running: int  # replies that prefill or decode
    waiting: int
    waiting_tokens: int  # prompt tokens and max_tokens of those that wait
    parked: int  # begun and set aside: they hold no row


class Engine:
    """Turns requests into outputs, a quantum at a time. Used by one thread."""

    def __init__(
        self,
        runner: Runner,
        tokenizer: Tokenizer,
        end_id: int,
        config: EngineConfig,
        observer: EngineObserver,
        clock: Clock,
    ) -> None:
        self._batch = Batch(runner)
        self._state_bytes = runner.row_bytes
        self._tokenizer = tokenizer
        self._end_id = end_id
        self._observer = observer
        self._measuring = Measuring(config.measured_tokens_per_second, observer)
        self._clock = clock
        self._pace = Pace()
        self._scheduler = Scheduler(config, self._pace)
        self._replies: dict[int, Sequence] = {}

    @property
    def has_work(self) -> bool:
        return self._scheduler.has_work

    @property
    def message_tokens(self) -> int:
        """How many tokens a message should carry, but for a reply's first and last."""
        return self._scheduler.message_tokens

    @property
    def load(self) -> EngineLoad:
        held = self._scheduler.holdings
        return EngineLoad(held.num_active, held.num_waiting, held.waiting_tokens, held.num_aside)

    # --- a step ----------------------------------------------------------------------

    def step(self) -> list[tuple[int, Result]]:
        """Drop late requests, preempt for a caller without a place, prefill, decode a quantum."""
        late = self._drop_late()
        self._make_way()
        states = self._prefill()
        self._start_ready()
        return [*late, *states, *self._decode()]

    def _drop_late(self) -> list[tuple[int, Result]]:
        dropped: list[tuple[int, Result]] = []
        while (reply := self._scheduler.find_late(now := self._clock())) is not None:
            self._remove(reply)
            self._observer.on_cancelled(now - reply.claim.deadline)
            dropped.append((reply.id, DeadlineError("the deadline passed before the reply ended")))
        return dropped

    def _make_way(self) -> None:
        while (reply := self._scheduler.find_preempted()) is not None:
            self._batch.set_aside(reply)
            self._scheduler.give_way(reply, self._clock())

    def _prefill(self) -> list[tuple[int, KnownState]]:
        chunks = self._scheduler.next_chunks()
        if not chunks:
            return []
        started_at = self._clock()
        states = self._batch.prefill(chunks)
        lengths, seconds = [len(p.token_ids) for p in chunks], self._clock() - started_at
        self._pace.on_read(lengths, seconds, while_waiting=self._scheduler.has_queue)
        return states

    def _start_ready(self) -> None:
        ready = self._scheduler.take_ready()
        for reply in ready:
            reply.prefilled_at = reply.prefilled_at or self._clock()
        self._batch.place(ready)

    def _decode(self) -> list[tuple[int, Result]]:
        turn = self._scheduler.next_turn()
        if not turn.rows:
            return []
        started_at = self._clock()
        decoded = self._batch.decode(turn.rows, turn.steps)
        now, steps = self._clock(), len(decoded[0].token_ids)
        self._observer.on_decode(len(decoded), steps, now - started_at)
        self._pace.on_decode(
            len(decoded), steps, now - started_at, while_waiting=self._scheduler.has_queue
        )
        size = self._scheduler.message_tokens
        return [
            (reply.id, output)
            for reply, row in zip(turn.rows, decoded, strict=True)
            for output in self._extend(reply, row, now, size)
        ]

    def _extend(self, reply: Sequence, row: Decoded, now: float, size: int) -> list[Output]:
        """Yield the outputs of a row's tokens, each of so many, up to where the reply ends."""
        outputs = []
        for start in range(0, len(row.token_ids), size):
            end = start + size
            output = reply.extend(row.token_ids[start:end], row.logprobs[start:end], now)
            outputs.append(output)
            if reply.is_measured:
                self._measuring.tell(reply, output, row.logprobs[start:end])
            if output.finish is not None:
                num_taken = start + len(output.token_ids)
                self._observer.on_wasted(len(row.token_ids) - num_taken, "finished")
                self._remove(reply)
                break
        return outputs

    # --- between steps ---------------------------------------------------------------

    def check(self, request: GenerationRequest, states: PromptStates) -> None:
        """Raise ValueError when these states do not fit the prompt; safe from any thread."""
        states.check(len(request.prompt_ids), self._state_bytes)

    def submit(
        self,
        reply_id: int,
        request: GenerationRequest,
        arrived_at: float,
        claim: Claim = NO_CLAIM,
        states: PromptStates = WHOLE_PROMPT,
    ) -> None:
        """Queue a request; its outputs, and before them the wanted states, carry the id.

        Raises QueueFullError or a kind of it, DeadlineInfeasibleError, ResumeMismatchError
        when nothing can follow its resume_ids, or what ``check`` raises.
        """
        self.check(request, states)
        text = begin_text(self._tokenizer, self._end_id, request)
        reply = Sequence(
            reply_id, request, claim, text, arrived_at, states.num_known, states.wanted
        )
        self._scheduler.submit(reply, self._clock())
        reply.is_measured = self._measuring.chooses(request, arrived_at)
        self._replies[reply_id] = reply
        if states.known is not None:
            self._batch.begin(reply, states.known)

    def amend(self, reply_id: int, claim: Claim) -> None:
        """Give a reply another deadline and priority; do nothing if it is gone."""
        reply = self._replies.get(reply_id)
        if reply is not None:
            self._scheduler.amend(reply, claim)

    def cancel(self, reply_id: int, requested_at: float | None = None) -> None:
        """Forget a reply, wherever it is; do nothing if it is gone."""
        reply = self._replies.get(reply_id)
        if reply is not None:
            self._remove(reply)
            now = self._clock()
            self._observer.on_cancelled(now - (now if requested_at is None else requested_at))

    def park(self, reply_id: int) -> None:
        """Free the row of a reply whose reader is slow; do nothing if it is gone."""
        reply = self._replies.get(reply_id)
        if reply is not None and reply.stage is not Stage.PARKED:
            self._batch.set_aside(reply)
            self._scheduler.park(reply, self._clock())

    def unpark(self, reply_id: int) -> None:
        """Let a parked reply go on; do nothing if it is gone."""
        reply = self._replies.get(reply_id)
        if reply is not None and reply.stage is Stage.PARKED:
            self._scheduler.unpark(reply, self._clock())

    def count_undelivered(self, tokens: int) -> None:
        """Count tokens of a reply that nobody waits for any more; safe from any thread."""
        self._observer.on_wasted(tokens, "cancelled")

    def _remove(self, reply: Sequence) -> None:
        del self._replies[reply.id]
        self._batch.discard(reply)
        self._scheduler.drop(reply, self._clock())
