"""The engine with its scheduler and no server: each reply is followed by another one at once."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.messages import Submit, Turn
from lstmserve_server.engine.process.engine import Engine
from lstmserve_server.engine.process.loader import LoadedModel
from lstmserve_server.engine.request import NO_CLAIM, GenerationRequest, SamplingParams
from lstmserve_server.engine.shared_page import SharedPage, make_page

WARM_UP_SECONDS = 0.5
MAX_TOKENS = 64
PROMPT_TOKENS = (5, 15)  # as questions have


class ClosedLoop:
    """So many replies at a time, of equal lengths or of one to eight eighths of the longest."""

    def __init__(self, model: LoadedModel, rows: int, *, is_mixed: bool) -> None:
        self._facts = model.facts
        config = EngineConfig(max_running=rows)
        page = SharedPage(make_page())
        self._engine = Engine(model.runner, model.facts.end_id, config, page, time.monotonic)
        self._lengths: Sequence[int] = range(
            MAX_TOKENS // 8 if is_mixed else MAX_TOKENS, MAX_TOKENS + 1
        )
        self._source = random.Random(0)
        self._left: dict[int, int] = {}
        self._num_begun = 0
        for _ in range(rows):
            self._begin()

    def tokens_per_second(self, seconds: float) -> float:
        """Run for so long, after a moment to get into step."""
        self._run(WARM_UP_SECONDS)
        started_at = time.perf_counter()
        return self._run(seconds) / (time.perf_counter() - started_at)

    def _run(self, seconds: float) -> int:
        tokens, stop = 0, time.perf_counter() + seconds
        while time.perf_counter() < stop:
            tokens += self._take(self._engine.turn())
        return tokens

    def _take(self, turn: Turn) -> int:
        for row in turn.rows:
            self._left[row.reply_id] -= len(row.token_ids)
            if self._left[row.reply_id] == 0:
                del self._left[row.reply_id]
                self._begin()
        return sum(len(row.token_ids) for row in turn.rows)

    def _begin(self) -> None:
        number, self._num_begun = self._num_begun, self._num_begun + 1
        prompt = self._source.choices(
            range(self._facts.vocabulary), k=self._source.randint(*PROMPT_TOKENS)
        )
        length = self._source.choice(self._lengths)
        sampling = SamplingParams(temperature=0.8, seed=number)
        request = GenerationRequest(tuple(prompt), sampling, length, length)
        self._left[number] = length
        self._engine.run(Submit(number, request, NO_CLAIM, time.monotonic()))
