"""Everything torch does for the engine: one model, the states of its sequences, its arithmetic.

States lie in slots; one that is taken out is bytes. One thread uses a runner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lstmserve_server.engine.decoding.decode_row import DecodeRow
from lstmserve_server.engine.decoding.drafts import CONTEXT, Drafts
from lstmserve_server.engine.decoding.following import Biases, Following
from lstmserve_server.engine.decoding.row_params import RowParams, to_params
from lstmserve_server.engine.decoding.sampler import Scores
from lstmserve_server.engine.decoding.state_format import Columns, StateFormat
from lstmserve_server.engine.decoding.state_pool import StatePool
from lstmserve_server.engine.decoding.taught import Taught
from lstmserve_server.engine.output import TokenLogprobs
from lstmserve_server.errors import LstmserveError

MAX_DRAFTS = 11  # tokens guessed at a time; see docs/adr/0012-drafts.md


@dataclass(frozen=True, slots=True)
class Decoded:
    """The tokens of one row, and their log-probabilities if it is scored."""

    token_ids: list[int]
    logprobs: list[TokenLogprobs]
    form_state: int = 0  # after the last of them, of a row that keeps a form
    error: LstmserveError | None = None  # why a row that keeps a grammar cannot go on


class Runner:
    """Runs one loaded decode loop over a pool of slots."""

    def __init__(
        self,
        loop: torch.jit.ScriptModule,
        max_rows: int,
        num_tokens: int,
        max_drafts: int = MAX_DRAFTS,
        int8_columns: Columns = (),
    ) -> None:
        """Guess up to so many tokens at a time while there is one row.

        Of states that are taken out these columns are int8.
        """
        self.arrivals: Tensor = torch.zeros((), dtype=torch.int64)  # may be others' memory
        self._num_known = 0  # of them
        self._loop = loop
        self._num_tokens = num_tokens
        with torch.inference_mode():  # as everything that is done to it
            self._pool = StatePool(loop.initial_state(max_rows + 1))
        self._format = StateFormat(self._pool.states.shape[1], int8_columns)
        self._params: RowParams | None = None
        self._order: list[int] = []  # in which the last rows lie
        self.taught = Taught(num_tokens)
        self._first_states: dict[int, int] = {}  # of the rows that keep a form
        self._biases = Biases(num_tokens)
        self._following = Following({}, self._biases, num_tokens)
        self._max_drafts = max_drafts if hasattr(loop, "decode_alone") else 0
        self._drafts = Drafts()
        self.drafted = (0, 0)  # tokens that the last call guessed, and those that were right

    @property
    def num_tokens(self) -> int:
        """How many tokens there are to choose from."""
        return self._num_tokens

    @property
    def state_bytes(self) -> int:
        return self._pool.states.nbytes

    @property
    def spare_slot(self) -> int:
        """One slot more than there are rows, for what is tried."""
        return len(self._pool.states) - 1

    @property
    def row_bytes(self) -> int:
        """The size of one state that is taken out."""
        return self._format.num_bytes

    def note_arrivals(self) -> None:
        """Take what has come so far for known: whoever calls this reads it now.

        What is counted from then on, also before the next quantum begins, ends that quantum after
        its least steps.
        """
        self._num_known = int(self.arrivals)

    @torch.inference_mode()
    def clear(self, slots: list[int]) -> None:
        """Put slots into the state before the first token."""
        self._loop.clear(self._pool.states, [self._pool.place_of(slot) for slot in slots])

    @torch.inference_mode()
    def take(self, slot: int) -> bytes:
        """Return a slot's state."""
        return self._format.to_bytes(self._pool.of(slot))

    @torch.inference_mode()
    def put(self, slot: int, state: bytes) -> None:
        """Give a slot a state that was taken; it has ``row_bytes``."""
        self._pool.of(slot).copy_(self._format.to_state(state))

    @torch.inference_mode()
    def prefill(self, slots: list[int], chunks: Sequence[Sequence[int]]) -> None:
        """Prefill one chunk of tokens, of at least one, into each slot."""
        places = [self._pool.place_of(slot) for slot in slots]
        self._loop.prefill(self._pool.states, places, [list(chunk) for chunk in chunks])

    @torch.inference_mode()
    def decode(
        self,
        rows: Sequence[DecodeRow],
        steps: int,
        *,
        same_rows: bool,
        least_steps: int | None = None,
    ) -> list[Decoded]:
        """Decode up to ``steps`` tokens for every row.

        It takes fewer steps when every row has chosen the end token before that, or after the
        ``least_steps`` when something has come since ``note_arrivals``. ``same_rows`` says that
        the rows are those of the last call, in the same order, continued.
        """
        order = self._pool.bring_together([row.slot for row in rows])
        arranged = [rows[number] for number in order]  # as their states lie
        if self._params is None or not same_rows or order != self._order:
            self._params, self._order = self._prepare(arranged), order
        least_steps = steps if least_steps is None else least_steps
        decoded = self._decode(arranged, self._params, steps, least_steps)
        by_number = dict(zip(order, decoded, strict=True))
        return [by_number[number] for number in range(len(rows))]

    def _prepare(self, rows: Sequence[DecodeRow]) -> RowParams:
        self._first_states = {
            number: self.taught.place_of(row.form.digest).first_state
            for number, row in enumerate(rows)
            if row.form is not None
        }
        replies = {number: row.grammar for number, row in enumerate(rows) if row.grammar}
        self._following = Following(replies, self._biases, self._num_tokens)
        return to_params(rows, self._num_tokens, self.taught, self._following.grammars)

    def _form_states(self, params: RowParams) -> dict[int, int]:
        """Return where each row is that keeps a form."""
        first = self._first_states
        if not first:
            return {}
        found = zip(first, params.forms.state.tolist(), strict=True)
        return {row: state - first[row] for row, state in found}

    def _decode(
        self, rows: Sequence[DecodeRow], params: RowParams, steps: int, least_steps: int
    ) -> list[Decoded]:
        """Decode rows in the order in which their states lie."""
        steps_taken, scores = self._run(rows, params, steps, least_steps)
        logprobs = _read_logprobs(scores, rows)
        states = self._form_states(params)
        return [
            Decoded(
                list(token_ids),
                logprobs.get(row, []),
                states.get(row, 0),
                self._following.error_of(row),
            )
            for row, token_ids in enumerate(zip(*steps_taken, strict=True))
        ]

    def _run(
        self, rows: Sequence[DecodeRow], params: RowParams, steps: int, least_steps: int
    ) -> tuple[list[list[int]], list[Scores]]:
        self.drafted = (0, 0)
        first = self._pool.place_of(rows[0].slot)
        if self._max_drafts and may_read_ahead(rows):
            (row,) = rows
            steps_taken, scores, self.drafted = self._loop.decode_alone(
                self._pool.states,
                first,
                row.recent_ids,
                row.position,
                params,
                steps,
                least_steps,
                self.arrivals,
                self._num_known,
                self._drafts.table,
                self._max_drafts,
            )
        else:
            steps_taken, scores = self._loop(
                self._pool.states,
                first,
                [row.token_id for row in rows],
                [row.position for row in rows],
                params,
                steps,
                least_steps,
                self.arrivals,
                self._num_known,
            )
        return steps_taken, scores

    def learn(self, prompt_ids: Sequence[int], reply_ids: Sequence[int]) -> None:
        """Guess from now on that what has followed may follow again."""
        if self._max_drafts:
            self._drafts.learn([*prompt_ids[-CONTEXT:], *reply_ids])


def may_read_ahead(rows: Sequence[DecodeRow]) -> bool:
    """Return whether guesses may be read: of one row, whose choices need nothing but its scores."""
    (row, *others) = rows
    is_free = row.form is None and row.grammar is None
    return not others and is_free and not row.sampling.is_adjusted


def _read_logprobs(
    scores: Sequence[Scores], rows: Sequence[DecodeRow]
) -> dict[int, list[TokenLogprobs]]:
    scored = [number for number, row in enumerate(rows) if row.is_scored]
    found: dict[int, list[TokenLogprobs]] = {row: [] for row in scored}
    for step in scores:
        columns = (column.tolist() for column in step)
        for row, total, chosen, ids, top in zip(scored, *columns, strict=True):
            wanted = rows[row].sampling.num_logprobs or 0
            norm = math.log(total)  # one scalar at a time: vector and tail code could differ
            candidates = tuple(zip(ids[:wanted], (x - norm for x in top[:wanted]), strict=True))
            found[row].append(TokenLogprobs(chosen - norm, candidates))
    return found
