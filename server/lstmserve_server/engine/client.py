"""An engine as the server uses it: replies on the event loop, made by a process that may die.

A reply is a function of its request, so when the engine's process ends, another one goes on with
every reply at its next token: callers see a pause and nothing else.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from lstmserve_bundle import Tokenizer
from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.constraints.form import Form
from lstmserve_server.engine.keeper import Keeper
from lstmserve_server.engine.launcher import Ending, EngineProcess, Launcher
from lstmserve_server.engine.messages import (
    LATE,
    Amend,
    Cancel,
    Command,
    Load,
    Loaded,
    Park,
    Row,
    Turn,
    Unpark,
)
from lstmserve_server.engine.observer import EngineObserver, Measuring
from lstmserve_server.engine.outbox import OnState, Outbox
from lstmserve_server.engine.output import FinishReason
from lstmserve_server.engine.prefix import WHOLE_PROMPT, PromptStates
from lstmserve_server.engine.reply import Reply
from lstmserve_server.engine.reply_stream import ReplyStream
from lstmserve_server.engine.reply_text import begin_text
from lstmserve_server.engine.request import NO_CLAIM, Claim, GenerationRequest
from lstmserve_server.engine.teaching import Teaching
from lstmserve_server.errors import (
    DeadlineError,
    EngineDeadError,
    LstmserveError,
    PoisonedRequestError,
    QueueFullError,
)

MAX_DEATHS = 5  # of engines that had a reply in hand, which did not go on in between
POISONED = "working on this request has ended the engine twice; do not repeat it"
RESTART_SECONDS = 1.0  # RetryInfo while there is no process
Clock = Callable[[], float]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """How a version's tokens become text."""

    tokenizer: Tokenizer
    end_id: int


class EngineClient:
    """Used on one event loop.

    Commands go out once per turn of the loop, and outputs come once per turn of the engine. A
    reply that is more than ``park_after_tokens`` ahead of its reader is parked until it comes.
    """

    def __init__(
        self,
        name: str,
        vocabulary: Vocabulary,
        config: EngineConfig,
        observer: EngineObserver,
        clock: Clock,
        on_death: Callable[[BaseException], None],
    ) -> None:
        """``on_death`` is told when no process can be kept alive; nothing is answered then."""
        self._name = name
        self._vocabulary = vocabulary
        self._config = config
        self._observer = observer
        self._measuring = Measuring(config.measured_tokens_per_second, observer)
        self._clock = clock
        self._on_death = on_death
        self._ids = itertools.count()
        self._replies: dict[int, Reply] = {}
        self._leaving: dict[int, float | None] = {}  # cancelled and not gone: since when a caller
        self._commands: list[Command] = []
        self._is_closed = False
        self._keeper: Keeper
        self._row_bytes = 0
        self._teaching = Teaching()
        self.load = Load()  # as of the last turn

    def start(self, launcher: Launcher, process: EngineProcess, loaded: Loaded) -> None:
        """Use a process that was launched; the launcher, which is ours now, makes further ones."""
        self._row_bytes = loaded.row_bytes
        self._keeper = Keeper(launcher, process, self)

    async def close(self) -> None:
        """End the process; replies in the making get nothing more."""
        self._is_closed = True
        await self._keeper.close()
        self._fail_all(EngineDeadError("the engine was closed"))

    @property
    def pid(self) -> int | None:
        """The process that runs now; None while there is none."""
        return self._keeper.pid

    @property
    def row_bytes(self) -> int:
        """The size of one state that is kept."""
        return self._row_bytes

    # --- what callers want -------------------------------------------------------------

    def generate(
        self,
        request: GenerationRequest,
        claim: Claim = NO_CLAIM,
        states: PromptStates = WHOLE_PROMPT,
        on_state: OnState | None = None,
        form: Form | None = None,
    ) -> ReplyStream:
        """Begin a reply, and return its stream; closing the stream leaves the reply.

        ``form`` is the one that the request's digest is of. Wanted states go to ``on_state``, in
        order and before the reply's later outputs. Raises EngineDeadError; ResumeMismatchError when
        nothing can follow its resume_ids; QueueFullError when too many wait for the process to come
        back; or ValueError when the states do not fit the prompt or the model.
        """
        self._check_room()
        states.check(len(request.prompt_ids), self._row_bytes)
        text = begin_text(self._vocabulary.tokenizer, self._vocabulary.end_id, request, form)
        now = self._clock()
        is_measured = self._measuring.chooses(request, now)
        outbox = Outbox(self._config.quantum_steps, on_state)
        reply = Reply(next(self._ids), request, claim, states, text, outbox, now, is_measured, form)
        self._begin(reply)
        return ReplyStream(reply.id, reply.outbox, self)

    def unpark(self, reply_id: int) -> None:
        """Let a reply go on, whose reader has taken all there was."""
        reply = self._replies.get(reply_id)
        if reply is None:
            return
        if reply.is_submitted:
            self._send(Unpark(reply_id))
        else:  # an engine has died meanwhile
            self._submit(reply)

    def amend(self, reply_id: int, claim: Claim) -> None:
        """Give a reply another deadline and priority."""
        if reply_id in self._replies:
            self._replies[reply_id].amend(claim)
            self._send(Amend(reply_id, claim))

    def leave(self, reply_id: int, num_left: int) -> None:
        """Cancel the reply of a reader who left, unless its end was delivered."""
        self._observer.on_wasted(num_left, "cancelled")
        if reply_id in self._replies:
            self._cancel(self._replies.pop(reply_id), self._clock())

    def _check_room(self) -> None:
        if self._is_closed:
            raise EngineDeadError("the engine has failed or was closed")
        most = self._config.max_running + self._config.max_waiting
        if not self._keeper.is_up and len(self._replies) >= most:
            raise QueueFullError(
                f"{len(self._replies)} requests wait for the engine to start again, and the "
                "server keeps no more",
                RESTART_SECONDS,
            )

    def _begin(self, reply: Reply) -> None:
        self._replies[reply.id] = reply
        self._submit(reply)

    def _submit(self, reply: Reply) -> None:
        if self._keeper.is_up:
            if reply.form is not None:
                self._teach(reply.form)
            submit = reply.to_submit()
            self._send(submit)
            if submit.known is not None:  # a state may be large: a message has one
                self._flush()

    def _teach(self, form: Form) -> None:
        """Tell the process of a form; each in a message of its own, as they may be large."""
        in_use = {reply.request.form_digest for reply in self._replies.values()}
        lessons = self._teaching.teach(form, self._vocabulary.tokenizer.all_bytes)
        if lessons:
            for forget in self._teaching.forget(in_use):
                self._send(forget)
            self._flush()
        for lesson in lessons:
            self._send(lesson)
            self._flush()

    def _cancel(self, reply: Reply, left_at: float | None) -> None:
        """Let the engine forget a reply, since a caller left it or because it is complete."""
        if self._keeper.is_up and reply.is_submitted:
            self._leaving[reply.id] = left_at
            self._send(Cancel(reply.id))
        elif left_at is not None:
            self._observer.on_cancelled(self._clock() - left_at)

    def _send(self, command: Command) -> None:
        if not self._commands:
            asyncio.get_running_loop().call_soon(self._flush)
        self._commands.append(command)

    def _flush(self) -> None:
        commands, self._commands = self._commands, []
        if commands:
            self._keeper.send(commands)

    # --- what the process makes ----------------------------------------------------------

    @property
    def is_waiting(self) -> bool:
        """Whether an engine that runs must say something soon."""
        return bool(self._leaving) or any(
            not reply.outbox.is_parked for reply in self._replies.values()
        )

    def on_turn(self, turn: Turn) -> None:
        """Deliver what a turn has made."""
        if turn.decoded is not None:  # whatever comes of it here
            self._keeper.count_progress()
        for reply_id, state in turn.states:
            if reply_id in self._replies:
                self._replies[reply_id].take_state(state)
        for refusal in turn.refusals:
            self._refuse(refusal.reply_id, refusal.to_error())
        # first tokens first: who waits for them does not wait for the messages of all others
        for row in sorted(turn.rows, key=lambda row: row.begun is None):
            self._deliver(row, turn)
        for reply_id in turn.gone:
            self._forget(reply_id)
        self.load = turn.load
        if turn.decoded is not None:
            self._observer.on_decode(*turn.decoded)
            self._observer.on_drafted(*turn.drafted)
        self._observer.on_wasted(turn.num_wasted, "finished")

    def _deliver(self, row: Row, turn: Turn) -> None:
        reply = self._replies.get(row.reply_id)
        if reply is None:
            is_left = self._leaving.get(row.reply_id) is not None
            self._observer.on_wasted(len(row.token_ids), "cancelled" if is_left else "finished")
            return
        output = reply.extend(row, turn.now)
        if reply.is_measured:
            self._measuring.tell(reply, output, row.logprobs)
        reply.outbox.put(output)
        if reply.outbox.is_complete:
            del self._replies[reply.id]
            self._observer.on_wasted(len(row.token_ids) - len(output.token_ids), "finished")
            if reply.text.finish_reason is FinishReason.STOP_SEQUENCE:
                self._cancel(reply, None)  # which only we know to be complete
        elif reply.outbox.num_tokens > self._config.park_after_tokens:
            reply.outbox.park()
            self._send(Park(reply.id))

    def _refuse(self, reply_id: int, error: LstmserveError) -> None:
        reply = self._replies.pop(reply_id, None)
        if reply is None:
            return
        if type(error) is DeadlineError:  # not one that is refused before any work
            self._observer.on_cancelled(self._clock() - reply.claim.deadline)
        reply.outbox.put(error)

    def _forget(self, reply_id: int) -> None:
        left_at = self._leaving.pop(reply_id, None)
        if left_at is not None:
            self._observer.on_cancelled(self._clock() - left_at)

    # --- when the process ends -------------------------------------------------------------

    def on_ended(self, in_hand: list[int], ending: Ending) -> None:
        """Judge the replies that the process was working on; all others simply go on."""
        log.error(
            "an engine has ended; another one goes on with its replies",
            engine=self._name,
            reason=ending.text,
            replies=len(self._replies),
        )
        self._observer.on_restart(ending.reason)
        self._commands.clear()
        self._teaching.clear()
        self.load = Load()
        for reply_id in [*self._leaving]:
            self._forget(reply_id)
        for reply in self._replies.values():
            reply.is_submitted = False
        for reply_id in in_hand:
            if reply_id in self._replies:
                self._judge(self._replies[reply_id], ending, is_alone=len(in_hand) == 1)

    def _judge(self, reply: Reply, ending: Ending, *, is_alone: bool) -> None:
        """Refuse a reply that ends engines: the second of them had nothing else in hand.

        One that ends them only in company is refused after some more, with that company.
        """
        reply.count_death(may_be_its_fault=ending.may_be_a_requests_fault)
        if (is_alone and reply.num_deaths > 1) or reply.num_deaths >= MAX_DEATHS:
            log.error(
                "a request that ends engines is refused", engine=self._name, reason=ending.text
            )
            self._keeper.count_progress()
            self._refuse(reply.id, PoisonedRequestError(POISONED))

    def drop_late(self) -> None:
        """Refuse the replies whose deadline has passed, as an engine would."""
        now = self._clock()
        for reply in [*self._replies.values()]:
            if reply.claim.deadline <= now:
                self._refuse(reply.id, DeadlineError(LATE))

    def on_back(self) -> None:
        """Let the new process go on with every reply."""
        for reply in self._replies.values():
            if not reply.outbox.is_parked:
                self._submit(reply)

    def on_dead(self, error: BaseException) -> None:
        """Answer nothing more."""
        self._is_closed = True
        self._fail_all(EngineDeadError("the engine has failed"))
        self._on_death(error)

    def _fail_all(self, error: LstmserveError) -> None:
        for reply_id in [*self._replies]:
            self._refuse(reply_id, error)
