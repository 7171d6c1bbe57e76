"""An engine over a model made of integers: fast, and as strict about rows as memory is not."""

from __future__ import annotations

from collections.abc import Sequence

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.engine import Clock, Engine, EngineObserver
from lstmserve_server.engine.output import TokenLogprobs
from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from lstmserve_server.engine.runner import Decoded, DecodeRow

END_ID = 0
NUM_TOKENS = 40


class FakeTokenizer:
    """A letter per token."""

    def token_bytes(self, token_id: int) -> bytes:
        return b"" if token_id == END_ID else bytes([ord("A") + token_id])


class FakeRunner:
    """A state is a number that depends on every token read, so a mixed-up row shows."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def initial_state(self) -> int:
        return 1

    def prefill(self, states: Sequence[int], pieces: Sequence[Sequence[int]]) -> list[int]:
        after = []
        for state, piece in zip(states, pieces, strict=True):
            assert piece
            for token_id in piece:
                state = _read(state, token_id)  # noqa: PLW2901
            after.append(state)
        return after

    def join(self, row: int, state: int) -> None:
        assert row == len(self.rows)
        self.rows.append(state)

    def take(self, row: int) -> int:
        return self.rows[row]

    def move(self, target: int, source: int) -> None:
        assert source == len(self.rows) - 1
        self.rows[target] = self.rows[source]
        self.rows.pop()

    def decode(self, rows: Sequence[DecodeRow], steps: int) -> list[Decoded]:
        assert len(rows) == len(self.rows)
        assert steps >= 1
        return [self._decode(number, row, steps) for number, row in enumerate(rows)]

    def _decode(self, number: int, row: DecodeRow, steps: int) -> Decoded:
        token_id, token_ids = row.token_id, []
        for position in range(row.position, row.position + steps):
            state = self.rows[number] = _read(self.rows[number], token_id)
            token_id = (state ^ row.sampling.seed) % NUM_TOKENS
            if token_id == END_ID and position < row.min_tokens:
                token_id = 1
            token_ids.append(token_id)
        wanted = row.sampling.num_logprobs is not None
        return Decoded(token_ids, [TokenLogprobs(-i, ()) for i in token_ids] if wanted else [])


def _read(state: int, token_id: int) -> int:
    return (state * 1_000_003 + token_id + 1) % (1 << 61)


def make_engine(
    runner: FakeRunner, config: EngineConfig, observer: EngineObserver, clock: Clock
) -> Engine:
    return Engine(runner, FakeTokenizer(), END_ID, config, observer, clock)  # type: ignore[arg-type]


def make_request(
    seed: int, prompt: int = 3, max_tokens: int = 20, *, min_tokens: int = 0
) -> GenerationRequest:
    """A request whose prompt is tokens 1, 2, 3…"""
    sampling = SamplingParams(seed=seed, num_logprobs=0)
    return GenerationRequest(tuple(range(1, prompt + 1)), sampling, max_tokens, min_tokens)
