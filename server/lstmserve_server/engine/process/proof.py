"""Proves that a model's numbers depend on a sequence's own tokens alone, bit for bit.

Every sequence is read by itself, a token at a time. Then the same tokens are read again: beside
others, in pieces, by another number of threads, after a detour over bytes. Each score and each
state must have the very same bits. What is read follows from the model's sizes and the number of
rows, never from a clock, so a version is judged alike wherever it is served.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from lstmserve_bundle import Bundle
from lstmserve_bundle.fingerprint import SCHEMA_VERSION, take_fingerprint
from lstmserve_server.engine.decoding.decode_row import DecodeRow
from lstmserve_server.engine.decoding.runner import Decoded, Runner
from lstmserve_server.engine.decoding.state_format import FLOAT, format_of
from lstmserve_server.engine.process.proof_text import MANY_ROWS, ProofText, make_proof_text
from lstmserve_server.engine.request import MAX_LOGPROBS, SamplingParams

PIECE_TOKENS = 32
STEPPED_TOKENS = 8  # the end of the long prompt
AHEAD_TOKENS = 3  # read first; then the rest of a sequence
NUM_AGAIN = 2  # sequences that are read a second time
NUM_WHOLE = 3  # sequences that are read by one call
REPLIES = (
    SamplingParams(temperature=0.0, num_logprobs=MAX_LOGPROBS),
    SamplingParams(temperature=0.7, top_k=40, top_p=0.9, min_p=0.01, seed=1),
    SamplingParams(repetition_penalty=1.2, logit_bias=((3, 1.0),), seed=2, num_logprobs=0),
)
PROMPT_TOKENS = 6
REPLY_TOKENS = 6
RESUMED_AFTER = 4  # tokens
THREADED_POSITION = 1  # which nearly all sequences have


class _DifferenceError(Exception):
    """Something that has to be the same is not."""


@torch.inference_mode()
def find_difference(loop: torch.jit.ScriptModule, bundle: Bundle, max_rows: int) -> str:
    """Return what makes replies depend on more than their requests; empty if nothing does.

    Raises what the model raises. Call it where nothing else computes: it changes the number of
    torch's threads for a moment.
    """
    try:
        window = getattr(loop.model, "window", 0)
        _Proof(loop, bundle, make_proof_text(bundle, max_rows, window)).run()
    except _DifferenceError as difference:
        return str(difference)
    return ""


class _Proof:
    """The numbers of every sequence alone, and the checks that hold others against them."""

    def __init__(self, loop: torch.jit.ScriptModule, bundle: Bundle, text: ProofText) -> None:
        self._loop = loop
        self._model = loop.model
        self._bundle = bundle
        self._text = text
        self._runner = Runner(loop, len(REPLIES), bundle.manifest.sizes.vocabulary)
        self._format = format_of(loop.model, bundle.manifest.sizes.state)
        # by the number of tokens before: of those sequences that have one more, in order
        self._scores: list[Tensor] = []
        self._states: list[Tensor] = []

    def run(self) -> None:
        """The plainest faults first, so that each is told by its own name."""
        self._check_start()
        self._read_alone()
        self._check_again()
        self._check_kept()
        self._check_beside()
        self._check_read_beside()
        self._check_read_whole()
        self._check_read_ahead()
        self._check_long_prompt()
        self._check_threads()
        self._check_replies()
        self._check_fingerprint()

    # --- alone ----------------------------------------------------------------------------

    def _check_start(self) -> None:
        one = self._model.initial_state(1)
        for count in self._text.row_counts:
            many = self._model.initial_state(count)
            _compare("a reply that has not begun", "state", many, one.expand(count, -1))

    def _read_alone(self) -> None:
        read = [deque(self._step_through(tokens)) for tokens in self._text.sequences]
        for _ in self._text.row_counts:
            numbers = [each.popleft() for each in read if each]  # large ones do not lie here twice
            self._scores.append(torch.cat([scores for scores, _ in numbers]))
            self._states.append(torch.cat([state for _, state in numbers]))

    def _step_through(self, tokens: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
        """The scores and the state after each token."""
        state = self._model.initial_state(1)
        for token in tokens:
            scores, state = self._model.step(state, torch.tensor([token]))
            yield scores.clone(), state.clone()  # the next step may write over both

    def _check_again(self) -> None:
        """What has been read meanwhile, and random numbers, change nothing."""
        what = "a reply that is made a second time"
        for number, tokens in enumerate(self._text.sequences[:NUM_AGAIN]):
            for position, (scores, state) in enumerate(self._step_through(tokens)):
                _compare(what, "scores", scores, self._scores[position][number : number + 1])
                _compare(what, "state", state, self._states[position][number : number + 1])

    def _check_kept(self) -> None:
        """The columns that the model calls int8 hold what it says."""
        what = "a reply that goes on from a state that was kept"
        for states in self._states:
            for state in states:
                _compare(what, "state", self._keep(state.unsqueeze(0)), state.unsqueeze(0))

    def _keep(self, state: Tensor) -> Tensor:
        """The state that is put back, after it was given out as bytes."""
        return self._format.to_state(self._format.to_bytes(state))

    # --- beside others --------------------------------------------------------------------

    def _check_beside(self) -> None:
        """Many sequences step by step; one after the other ends, so every row count comes once."""
        state = self._model.initial_state(self._text.row_counts[0])
        for position, count in enumerate(self._text.row_counts):
            state = self._step_beside(position, state[:count])

    def _step_beside(self, position: int, state: Tensor) -> Tensor:
        """One step of the first sequences, which lie in reverse and then not; -> their states."""
        rows = torch.arange(len(state))
        places = rows.flip(0) if position % 2 else rows.roll(1)
        tokens = self._text.column(position, len(state))[places]
        scores, after = self._model.step(state[places], tokens)
        own = self._text.own(places)
        what = _beside(len(state))
        _compare(what, "scores", scores, self._scores[position][own])
        _compare(what, "state", after, self._states[position][own])
        return torch.empty_like(after).index_copy_(0, places, after)

    def _check_read_beside(self) -> None:
        """The same by one call, as prompts of different lengths are read."""
        count = self._text.row_counts[0]
        pool = self._model.initial_state(count)
        slots = list(range(count))[::-1]
        self._loop.prefill(pool, slots, [self._text.tokens_of(row) for row in range(count)])
        _compare(
            f"a prompt that is read beside {count - 1} others, and not alone,",
            "state",
            pool.flip(0),
            torch.cat([self._final_state(row) for row in range(count)]),
        )

    def _final_state(self, row: int) -> Tensor:
        """The state after all tokens of a row, read alone."""
        own = row % MANY_ROWS
        return self._states[len(self._text.tokens_of(row)) - 1][own : own + 1]

    # --- in pieces ------------------------------------------------------------------------

    def _check_read_whole(self) -> None:
        for row in range(NUM_WHOLE):
            tokens = self._text.tokens_of(row)
            for pieces in ([tokens], [tokens[:1], tokens[1:3], tokens[3:]]):
                what = f"a prompt that is read in {len(pieces)} pieces, and not token by token,"
                _compare(what, "state", self._prefill(pieces), self._final_state(row))

    def _check_read_ahead(self) -> None:
        """Several tokens at once, with all that comes of each; from the start, and from a state."""
        if not hasattr(self._model, "read_ahead"):
            return
        what = "a reply that is read ahead, and not token by token,"
        for row in range(NUM_WHOLE):
            tokens, state = self._text.tokens_of(row), self._model.initial_state(1)
            begin = 0
            for end in (AHEAD_TOKENS, len(tokens)):
                scores, states = self._model.read_ahead(state, torch.tensor(tokens[begin:end]))
                for number, position in enumerate(range(begin, end)):
                    own = slice(number, number + 1)
                    expected = slice(row, row + 1)
                    _compare(what, "scores", scores[own], self._scores[position][expected])
                    _compare(what, "state", states[own], self._states[position][expected])
                state, begin = states[-1:], end

    def _check_long_prompt(self) -> None:
        """At once; in pieces, after each of which the state is given out and put back; steps."""
        tokens = self._text.long
        what = f"a prompt of {len(tokens)} tokens that is read in pieces, and not at once,"
        whole = self._prefill([tokens])
        starts = range(0, len(tokens), PIECE_TOKENS)
        *pieces, last = (tokens[start : start + PIECE_TOKENS] for start in starts)
        state = self._prefill([*pieces, last[:-STEPPED_TOKENS]])
        before = state.clone()
        for token in last[-STEPPED_TOKENS:]:
            _, state = self._model.step(state, torch.tensor([token]))
        _compare(what, "state", state, whole)
        self._check_ahead_of(before, last[-STEPPED_TOKENS:])

    def _check_ahead_of(self, state: Tensor, tokens: Sequence[int]) -> None:
        """Of a state after more tokens than attention sees; it must be left as it is."""
        if not hasattr(self._model, "read_ahead"):
            return
        ahead_scores, ahead_states = self._model.read_ahead(state, torch.tensor(tokens))
        what = "a reply to a long prompt that is read ahead, and not token by token,"
        after = state
        for number, token in enumerate(tokens):
            scores, after = self._model.step(after, torch.tensor([token]))
            _compare(what, "scores", ahead_scores[number : number + 1], scores)
            _compare(what, "state", ahead_states[number : number + 1], after)

    def _prefill(self, pieces: Sequence[Sequence[int]]) -> Tensor:
        state: Tensor = self._model.initial_state(1)
        for piece in filter(None, pieces):
            self._loop.prefill(state, [0], [list(piece)])
            state = self._keep(state)
        return state

    # --- on another number of threads -----------------------------------------------------

    def _check_threads(self) -> None:
        """One large step and one large read: threads wait for each other, which takes long."""
        position = THREADED_POSITION
        scores, states = self._scores[position], self._states[position]
        before = self._states[position - 1][: len(scores)]
        tokens = self._text.column(position, len(before))
        with _other_threads() as what:
            found, after = self._model.step(before.clone(), tokens)
            pool = before.clone()
            self._loop.prefill(pool, list(range(len(pool))), tokens.unsqueeze(1).tolist())
        _compare(what, "scores", found, scores)
        _compare(what, "state", after, states)
        _compare(what, "state", pool, states)

    # --- whole replies --------------------------------------------------------------------

    def _check_replies(self) -> None:
        """Tokens and log-probabilities, together, alone, and gone on with after some tokens."""
        rows = range(len(REPLIES))
        together = self._reply([(row, ()) for row in rows])
        for row, reply in enumerate(together):
            if self._reply([(row, ())]) != [reply]:
                raise _DifferenceError(_differs(_beside(len(REPLIES)), "tokens"))
            taken = reply.token_ids[:RESUMED_AFTER]
            rest = Decoded(reply.token_ids[RESUMED_AFTER:], reply.logprobs[RESUMED_AFTER:])
            if self._reply([(row, tuple(taken))]) != [rest]:
                what = f"a reply that is resumed after {RESUMED_AFTER} tokens"
                raise _DifferenceError(_differs(what, "tokens"))

    def _reply(self, asked: Sequence[tuple[int, tuple[int, ...]]]) -> list[Decoded]:
        """The rest of replies to these sequences, after the tokens that are there already."""
        rows = []
        for slot, (number, taken) in enumerate(asked):
            prompt = tuple(self._text.sequences[number][:PROMPT_TOKENS])
            given = prompt + taken
            self._runner.clear([slot])
            self._runner.prefill([slot], [given[:-1]])
            sampling = REPLIES[number]
            rows.append(
                DecodeRow(
                    slot,
                    given[-1],
                    len(taken),
                    sampling,
                    REPLY_TOKENS,
                    prompt,
                    taken,
                    stream=number,
                )
            )
        return self._runner.decode(rows, REPLY_TOKENS - len(asked[0][1]), same_rows=False)

    # --- as it was published --------------------------------------------------------------

    def _check_fingerprint(self) -> None:
        published = self._bundle.fingerprint
        if published is None or published.schema_version != SCHEMA_VERSION:
            return
        if take_fingerprint(self._bundle.manifest.sizes.vocabulary, self._to_bytes) != published:
            raise _DifferenceError(
                "its scores are not those that it had when it was published (fingerprint.json): "
                "this machine rounds otherwise, or model.pt is another model"
            )

    def _to_bytes(self, tokens: Sequence[int]) -> Iterator[bytes]:
        state = self._model.initial_state(1)
        for scores, state in self._step_through(tokens):  # noqa: B007 - the last one is needed
            yield _floats(scores)
        yield _floats(state)


def _floats(numbers: Tensor) -> bytes:
    """All of them, little-endian."""
    return numbers.numpy().astype(FLOAT, copy=False).tobytes()


def _beside(count: int) -> str:
    return f"a reply beside {count - 1} others, and not alone,"


@contextmanager
def _other_threads() -> Iterator[str]:
    before = torch.get_num_threads()
    other = 1 if before > 1 else 2
    torch.set_num_threads(other)
    try:
        yield f"a reply that is computed by {other} threads, and not by {before},"
    finally:
        torch.set_num_threads(before)


def _compare(what: str, name: str, found: Tensor, expected: Tensor) -> None:
    """Raise _DifferenceError unless all bits are the same."""
    if found.shape != expected.shape:
        raise _DifferenceError(f"{what} has {name} of shape {[*found.shape]}")
    is_other = found.contiguous().view(torch.int32) != expected.contiguous().view(torch.int32)
    if not is_other.any():
        return
    largest = float((found - expected).abs().max())
    raise _DifferenceError(
        f"{_differs(what, name)}: {int(is_other.sum())} of {is_other.numel()} numbers, by up to "
        f"{largest:.2g}"
    )


def _differs(what: str, name: str) -> str:
    return f"{what} has other {name}"
