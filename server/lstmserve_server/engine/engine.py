"""Continuous batching: one model, many replies, one thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lstmserve_bundle import Tokenizer
from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.output import Output
from lstmserve_server.engine.request import GenerationRequest
from lstmserve_server.engine.row_params import DecodeRow
from lstmserve_server.engine.runner import Runner, State
from lstmserve_server.engine.scheduler import Scheduler
from lstmserve_server.engine.sequence import Sequence
from lstmserve_server.engine.stopping import ReplyText
from lstmserve_server.errors import ResumeMismatchError

Clock = Callable[[], float]


class EngineObserver(Protocol):
    """Told what the engine does; must be quick and must not raise."""

    def on_decode(self, rows: int, steps: int, seconds: float) -> None:
        """A decode call over this many rows and steps took so long."""

    def on_wasted(self, tokens: int, reason: str) -> None:
        """Tokens were decoded for nobody."""


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """How busy an engine is."""

    running: int
    waiting: int


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
        self._runner = runner
        self._tokenizer = tokenizer
        self._end_id = end_id
        self._observer = observer
        self._clock = clock
        self._scheduler = Scheduler(config)
        self._replies: dict[int, Sequence] = {}
        self._states: dict[int, State] = {}  # of those that read their prompt

    @property
    def has_work(self) -> bool:
        return self._scheduler.has_work

    @property
    def load(self) -> EngineLoad:
        return EngineLoad(self._scheduler.num_running, self._scheduler.num_waiting)

    def submit(self, reply_id: int, request: GenerationRequest, arrived_at: float) -> None:
        """Queue a request; its outputs carry the id.

        Raises QueueFullError, or ResumeMismatchError when nothing can follow its resume_ids.
        """
        text = ReplyText(self._tokenizer, self._end_id, request.max_tokens, request.stop_sequences)
        for token_id in request.resume_ids:
            if text.finish_reason is not None:
                raise ResumeMismatchError("resume_tokens: the reply ends before the last of them")
            text.push(token_id)
        if text.finish_reason is not None:
            raise ResumeMismatchError("resume_tokens: this reply is complete; nothing follows")
        reply = Sequence(reply_id, request, text, arrived_at)
        self._scheduler.submit(reply)
        self._replies[reply_id] = reply

    def count_undelivered(self, tokens: int) -> None:
        """Tokens came for a reply that nobody waits for any more; safe from any thread."""
        self._observer.on_wasted(tokens, "cancelled")

    def cancel(self, reply_id: int) -> None:
        """Forget a reply, wherever it is; one that is gone already is no error."""
        reply = self._replies.get(reply_id)
        if reply is not None:
            self._remove(reply)

    def step(self) -> list[tuple[int, Output]]:
        """Admit, read a piece of each new prompt, decode a quantum of every running reply."""
        self._admit()
        self._read_pieces()
        self._start_ready()
        return self._decode()

    def _admit(self) -> None:
        for reply in self._scheduler.admit():
            reply.started_at = self._clock()
            self._states[reply.id] = self._runner.initial_state()

    def _read_pieces(self) -> None:
        pieces = self._scheduler.next_pieces()
        if not pieces:
            return
        before = [self._states[piece.sequence.id] for piece in pieces]
        after = self._runner.prefill(before, [piece.token_ids for piece in pieces])
        for piece, state in zip(pieces, after, strict=True):
            piece.sequence.num_read += len(piece.token_ids)
            self._states[piece.sequence.id] = state

    def _start_ready(self) -> None:
        for reply in self._scheduler.take_ready():
            reply.prefilled_at = self._clock()
            row = self._scheduler.slots.join(reply)
            self._runner.join(row, self._states.pop(reply.id))

    def _decode(self) -> list[tuple[int, Output]]:
        running = self._scheduler.slots.sequences
        if not running:
            return []
        started_at = self._clock()
        rows = [
            DecodeRow(
                reply.next_input,
                reply.position,
                reply.request.sampling,
                reply.request.min_tokens,
                reply.request.prompt_ids,
                reply.token_ids,
            )
            for reply in running
        ]
        decoded = self._runner.decode(rows, self._scheduler.next_steps())
        now = self._clock()
        self._observer.on_decode(len(rows), len(decoded[0].token_ids), now - started_at)
        outputs = [
            (reply.id, reply.extend(row.token_ids, row.logprobs, now))
            for reply, row in zip(running, decoded, strict=True)
        ]
        self._retire(running, outputs, len(decoded[0].token_ids))
        return outputs

    def _retire(
        self, running: list[Sequence], outputs: list[tuple[int, Output]], steps: int
    ) -> None:
        for reply, (_, output) in zip(running, outputs, strict=True):
            if output.finish is not None:
                self._observer.on_wasted(steps - len(output.token_ids), "finished")
                self._remove(reply)

    def _remove(self, reply: Sequence) -> None:
        del self._replies[reply.id]
        self._states.pop(reply.id, None)
        slots = self._scheduler.slots
        if reply in slots.sequences:
            self._runner.move(*slots.leave(reply))
        else:
            self._scheduler.drop(reply)
