"""An engine over a model made of integers: fast, and as strict about rows as memory is not."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from lstmserve_server.engine.decoding.decode_row import DecodeRow
from lstmserve_server.engine.decoding.runner import Decoded
from lstmserve_server.engine.output import TokenLogprobs
from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from support.engines import LoadedModel

if TYPE_CHECKING:
    from lstmserve_bundle import Bundle
    from lstmserve_server.engine.decoding.runner import Runner

END_ID = 0
NUM_TOKENS = 40


class FakeTokenizer:
    """A letter per token."""

    def token_bytes(self, token_id: int) -> bytes:
        return b"" if token_id == END_ID else bytes([ord("A") + token_id])


class FakeRunner:
    """A state is a number that depends on every token read, so a mixed-up row shows."""

    row_bytes = 8
    spare_slot = 1 << 20
    is_hurried = False  # something comes in every call
    drafted = (0, 0)

    def __init__(self) -> None:
        self.slots: dict[int, int] = {}
        self.last_rows: list[DecodeRow] = []

    def clear(self, slots: list[int]) -> None:
        assert len(set(slots)) == len(slots)
        self.slots.update(dict.fromkeys(slots, 1))

    def take(self, slot: int) -> bytes:
        return self.slots[slot].to_bytes(self.row_bytes, "little")

    def put(self, slot: int, state: bytes) -> None:
        self.slots[slot] = int.from_bytes(state, "little")

    def prefill(self, slots: list[int], pieces: Sequence[Sequence[int]]) -> None:
        assert len(set(slots)) == len(slots)
        for slot, piece in zip(slots, pieces, strict=True):
            assert piece
            for token_id in piece:
                self.slots[slot] = _read(self.slots[slot], token_id)

    def learn(self, prompt_ids: Sequence[int], reply_ids: Sequence[int]) -> None:
        """It guesses nothing."""

    def decode(
        self,
        rows: Sequence[DecodeRow],
        steps: int,
        *,
        same_rows: bool,
        least_steps: int | None = None,
    ) -> list[Decoded]:
        assert 1 <= (least_steps or 1) <= steps
        if self.is_hurried:
            steps = least_steps or steps
        assert len({row.slot for row in rows}) == len(rows)
        if same_rows:  # wherever their states lie by now
            assert list(map(_identity, rows)) == list(map(_identity, self.last_rows))
        self.last_rows = list(rows)
        return [self._decode(row, steps) for row in rows]

    def _decode(self, row: DecodeRow, steps: int) -> Decoded:
        token_id, token_ids = row.token_id, []
        for position in range(row.position, row.position + steps):
            state = self.slots[row.slot] = _read(self.slots[row.slot], token_id)
            token_id = (state ^ row.sampling.seed) % NUM_TOKENS
            if token_id == END_ID and position < row.min_tokens:
                token_id = 1
            token_ids.append(token_id)
        scores = [TokenLogprobs(-i, ()) for i in token_ids] if row.is_scored else []
        return Decoded(token_ids, scores)


def _identity(row: DecodeRow) -> tuple[object, ...]:
    return row.sampling, row.min_tokens, row.prompt_ids, row.is_measured


def _read(state: int, token_id: int) -> int:
    return (state * 1_000_003 + token_id + 1) % (1 << 61)


def make_model(runner: FakeRunner) -> LoadedModel:
    """A version whose tokens are letters and whose runner is this one."""
    template = SimpleNamespace(end_id=END_ID)
    bundle = SimpleNamespace(tokenizer=FakeTokenizer(), template=template)
    return LoadedModel(cast("Bundle", bundle), cast("Runner", runner))


def make_request(
    seed: int, prompt: int = 3, max_tokens: int = 20, *, min_tokens: int = 0
) -> GenerationRequest:
    """A request whose prompt is tokens 1, 2, 3…"""
    sampling = SamplingParams(seed=seed, num_logprobs=0)
    return GenerationRequest(tuple(range(1, prompt + 1)), sampling, max_tokens, min_tokens)
