"""One reply in the making, as the server's process keeps it: what was asked, and what has come."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from lstmserve_server.engine.constraints.form import Form
from lstmserve_server.engine.messages import Row, Submit
from lstmserve_server.engine.outbox import Outbox
from lstmserve_server.engine.output import Finish, Output, Timings, TokenLogprobs
from lstmserve_server.engine.prefix import KnownState, PromptStates
from lstmserve_server.engine.reply_text import ReplyText
from lstmserve_server.engine.request import Claim, GenerationRequest


@dataclass(eq=False, slots=True)
class Reply:
    """A reply that an engine makes, and that another engine can go on with at any token."""

    id: int
    request: GenerationRequest
    claim: Claim
    states: PromptStates
    text: ReplyText  # up to where it is now
    outbox: Outbox
    arrived_at: float  # as all times, on the engine's clock
    is_measured: bool = False
    form: Form | None = None  # that the request's digest is of
    token_ids: list[int] = field(default_factory=list)  # that have come; resumed ones have not
    measured_text: str = ""
    is_submitted: bool = False  # to the process that runs now
    num_deaths: int = 0  # of engines that had it in hand, since it last went on
    _was_submitted: bool = False  # to any process
    _is_suspect: bool = False
    _num_tokens_at_death: int = -1
    _known_states: int = 0  # tokens before the last state that was given out
    _started_at: float = 0.0
    _prefilled_at: float = 0.0
    _first_token_at: float = 0.0

    def to_submit(self) -> Submit:
        """Return the command that makes an engine begin it, or go on with it from where it is."""
        resume_ids = (*self.request.resume_ids, *self.token_ids)
        is_admitted, self._was_submitted, self.is_submitted = self._was_submitted, True, True
        return Submit(
            self.id,
            replace(self.request, resume_ids=resume_ids) if self.token_ids else self.request,
            self.claim,
            self.arrived_at,
            self.states.known,
            tuple(number for number in self.states.wanted if number > self._known_states),
            self.is_measured,
            is_admitted,
            self._is_suspect,
        )

    def amend(self, claim: Claim) -> None:
        """Have another deadline and priority; the caller stays."""
        self.claim = replace(claim, caller=self.claim.caller)

    def count_death(self, *, may_be_its_fault: bool) -> None:
        """Note that an engine has ended which had this reply in hand."""
        has_gone_on = len(self.token_ids) > self._num_tokens_at_death
        self.num_deaths = 1 if has_gone_on else self.num_deaths + 1
        self._num_tokens_at_death = len(self.token_ids)
        self._is_suspect = may_be_its_fault or self.num_deaths > 1

    def take_state(self, state: KnownState) -> None:
        """Give out a state of the prompt."""
        self._known_states = state.num_tokens
        self.outbox.give_state(state)

    def extend(self, row: Row, now: float) -> Output:
        """Add further tokens up to where the reply ends; return what came of them."""
        if not self.token_ids:
            self._first_token_at = now
            self._started_at, self._prefilled_at = row.begun or (now, now)
        token_ids, text = self.text.extend(row.token_ids, row.may_end_at)
        self.token_ids += token_ids
        scores = self._asked_for(row.logprobs[: len(token_ids)])
        return Output(text, token_ids, scores, self._finish(now))

    def _asked_for(self, scores: list[TokenLogprobs]) -> list[TokenLogprobs]:
        return scores if self.request.sampling.num_logprobs is not None else []

    def _finish(self, now: float) -> Finish | None:
        reason = self.text.finish_reason
        if reason is None:
            return None
        num_tokens = len(self.request.resume_ids) + len(self.token_ids)
        return Finish(reason, self.text.stop_sequence, num_tokens, self._timings(now))

    def _timings(self, now: float) -> Timings:
        return Timings(
            queue_seconds=self._started_at - self.arrived_at,
            prefill_seconds=self._prefilled_at - self._started_at,
            decode_seconds=now - self._prefilled_at,
            time_to_first_token_seconds=self._first_token_at - self.arrived_at,
            total_seconds=now - self.arrived_at,
            arrived_at=self.arrived_at,
        )
