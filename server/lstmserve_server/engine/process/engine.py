"""Continuous batching: one model, many replies, one thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import msgspec

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.decoding.runner import Decoded, Runner
from lstmserve_server.engine.messages import (
    LATE,
    Amend,
    Cancel,
    Command,
    Forget,
    Load,
    Park,
    Refusal,
    Row,
    Submit,
    Teach,
    TeachTokens,
    Turn,
    Unpark,
)
from lstmserve_server.engine.prefix import KnownState
from lstmserve_server.engine.process.batch import Batch
from lstmserve_server.engine.request import Claim
from lstmserve_server.engine.scheduling.pace import Pace
from lstmserve_server.engine.scheduling.scheduler import FEW_ROWS, Scheduler
from lstmserve_server.engine.scheduling.sequence import Sequence, Stage
from lstmserve_server.engine.shared_page import SharedPage
from lstmserve_server.errors import DeadlineError, LstmserveError

Clock = Callable[[], float]


class Engine:
    """Turns commands into tokens, a quantum at a time. Used by one thread."""

    def __init__(
        self, runner: Runner, end_id: int, config: EngineConfig, page: SharedPage, clock: Clock
    ) -> None:
        self._batch = Batch(runner, page)
        self._end_id = end_id
        self._config = config
        self._clock = clock
        self._pace = Pace()
        self._scheduler = Scheduler(config, self._pace)
        self._replies: dict[int, Sequence] = {}
        self._suspects: deque[Submit] = deque()
        self._refusals: list[Refusal] = []  # since the last turn, as are those that follow
        self._gone: list[int] = []
        self._num_wasted = 0
        self._drafted = (0, 0)
        self._has_news = False  # a command has changed how busy it is

    @property
    def has_work(self) -> bool:
        """Whether a turn would do or tell anything."""
        return bool(self._has_news or self._suspects or self._scheduler.has_work)

    # --- a turn ----------------------------------------------------------------------

    def turn(self) -> Turn:
        """Drop late requests, preempt for a caller without a place, prefill, decode a quantum."""
        self._drop_late()
        self._try_suspect()
        self._make_way()
        states = self._prefill()
        self._start_ready()
        rows, decoded = self._decode()
        turn = Turn(
            self._clock(),
            rows,
            states,
            self._refusals,
            self._gone,
            decoded,
            self._num_wasted,
            self.load,
            self._drafted,
        )
        self._refusals, self._gone, self._has_news = [], [], False
        self._num_wasted, self._drafted = 0, (0, 0)
        return turn

    @property
    def load(self) -> Load:
        """How busy it is."""
        held = self._scheduler.holdings
        return Load(
            held.num_active,
            held.num_waiting + len(self._suspects),
            held.waiting_tokens,
            held.num_aside,
        )

    def _drop_late(self) -> None:
        while (reply := self._scheduler.find_late(self._clock())) is not None:
            self._remove(reply)
            self._refuse(reply.id, DeadlineError(LATE))

    def _try_suspect(self) -> None:
        """Begin a reply that an engine may have died of, for nothing and with nobody beside it.

        Should this engine die of it, too, it is known whose fault that was.
        """
        if self._suspects:
            submit = self._suspects.popleft()
            alone = msgspec.structs.replace(submit, wanted=())
            steps = self._config.quantum_steps  # as many as it had when it died
            self._batch.try_alone(self._make_sequence(alone), submit.known, steps)
            self._take(submit)

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

    def _decode(self) -> tuple[list[Row], tuple[int, int, float] | None]:
        turn = self._scheduler.next_turn()
        if not turn.rows:
            return [], None
        started_at = self._clock()
        decoded = self._batch.decode(turn.rows, turn.steps, turn.least_steps)
        seconds, steps = self._clock() - started_at, len(decoded[0].token_ids)
        self._drafted = self._batch.drafted
        self._pace.on_decode(len(decoded), steps, seconds, while_waiting=self._scheduler.has_queue)
        rows = []
        for reply, row in zip(turn.rows, decoded, strict=True):
            if row.error is None:
                rows.append(self._extend(reply, row))
            else:
                self._remove(reply)
                self._refuse(reply.id, row.error)
        return rows, (len(decoded), steps, seconds)

    def _extend(self, reply: Sequence, row: Decoded) -> Row:
        """Return a row's tokens up to where the reply ends."""
        begun = None if reply.has_new_token else (reply.started_at, reply.prefilled_at)
        taken = reply.extend(row.token_ids)
        places = self._batch.take_places(reply)
        if reply.is_finished:
            if self.load.running <= FEW_ROWS:  # many have no use for guesses, nor time to spare
                self._batch.learn(reply)
            self._num_wasted += len(row.token_ids) - len(taken)
            self._remove(reply)
        return Row(reply.id, taken, row.logprobs[: len(taken)], begun, places)

    # --- between turns ---------------------------------------------------------------

    def run(self, command: Command) -> None:
        """Do what the server said; a request that is refused is told with the next turn."""
        self._has_news = True
        match command:
            case Submit(is_suspect=True):
                self._suspects.append(command)
            case Submit():
                self._take(command)
            case Cancel(reply_id):
                self._cancel(reply_id)
            case Amend(reply_id, claim):
                self._amend(reply_id, claim)
            case Park(reply_id) if reply_id in self._replies:
                self._park(self._replies[reply_id])
            case Teach(digest, taught):
                self._batch.teach(digest, taught)
            case TeachTokens(tokens):
                self._batch.teach_tokens(tokens, self._end_id)
            case Forget(digest):
                self._batch.forget(digest)
            case Unpark(reply_id) if reply_id in self._replies:
                self._unpark(self._replies[reply_id])

    def _take(self, submit: Submit) -> None:
        try:
            self.submit(submit)
        except LstmserveError as error:
            self._refuse(submit.reply_id, error)

    def submit(self, submit: Submit) -> None:
        """Queue a request. Raises QueueFullError or a kind of it, or DeadlineInfeasibleError."""
        reply = self._make_sequence(submit)
        self._scheduler.submit(reply, self._clock(), is_admitted=submit.is_admitted)
        self._replies[reply.id] = reply
        if submit.known is not None:
            self._batch.begin(reply, submit.known)

    def _make_sequence(self, submit: Submit) -> Sequence:
        return Sequence(
            submit.reply_id,
            submit.request,
            submit.claim,
            self._end_id,
            submit.arrived_at,
            0 if submit.known is None else submit.known.num_tokens,
            submit.wanted,
            submit.is_measured,
        )

    def _refuse(self, reply_id: int, error: LstmserveError) -> None:
        self._refusals.append(Refusal.of(reply_id, error))

    def _cancel(self, reply_id: int) -> None:
        self._gone.append(reply_id)
        if reply_id in self._replies:
            self._remove(self._replies[reply_id])
        else:
            kept = [submit for submit in self._suspects if submit.reply_id != reply_id]
            self._suspects = deque(kept)

    def _amend(self, reply_id: int, claim: Claim) -> None:
        if reply_id in self._replies:
            self._scheduler.amend(self._replies[reply_id], claim)
        for number, submit in enumerate(self._suspects):
            if submit.reply_id == reply_id:
                amended = replace(claim, caller=submit.claim.caller)
                self._suspects[number] = msgspec.structs.replace(submit, claim=amended)

    def _park(self, reply: Sequence) -> None:
        if reply.stage is not Stage.PARKED:
            self._batch.set_aside(reply)
            self._scheduler.park(reply, self._clock())

    def _unpark(self, reply: Sequence) -> None:
        if reply.stage is Stage.PARKED:
            self._scheduler.unpark(reply, self._clock())

    def _remove(self, reply: Sequence) -> None:
        del self._replies[reply.id]
        self._batch.discard(reply)
        self._scheduler.drop(reply, self._clock())
