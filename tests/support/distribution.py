"""How replies of many seeds spread, against what the reference decoder says they should."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.request import GenerationRequest
from support.engines import MAX_ROWS, Bench, LoadedModel
from support.reference import ReferenceDecoder
from support.reference_sampler import adjust, filtered_weights

Tokens = tuple[int, ...]
# draws per cell: five make the statistic chi-squared, more make a small error easier to see
FEWEST_EXPECTED = 50


def with_seed(request: GenerationRequest, seed: int) -> GenerationRequest:
    return replace(request, sampling=replace(request.sampling, seed=seed))


def draw_replies(
    model: LoadedModel, requests: Sequence[GenerationRequest], draws: int
) -> list[Counter[Tokens]]:
    """Replies to each request under ``draws`` seeds, all requests mixed in full batches."""
    counts: list[Counter[Tokens]] = [Counter() for _ in requests]
    bench = Bench(model, EngineConfig(max_running=MAX_ROWS, prefill_piece_tokens=64))
    jobs = [(kind, seed) for seed in range(draws) for kind in range(len(requests))]
    for first in range(0, len(jobs), MAX_ROWS):
        batch = range(first, min(first + MAX_ROWS, len(jobs)))
        for number in batch:
            kind, seed = jobs[number]
            bench.submit(number, with_seed(requests[kind], seed))
        replies = bench.run()
        for number in batch:
            counts[jobs[number][0]][tuple(replies[number].token_ids)] += 1
    return counts


def pair_odds(
    model: LoadedModel, reference: ReferenceDecoder, request: GenerationRequest
) -> dict[Tokens, float]:
    """Of every possible reply of two tokens, or of the end token alone."""
    end_id = model.bundle.template.end_id

    def next_odds(reply: Tokens) -> Iterator[tuple[int, float]]:
        raw = reference.logits_after((*request.prompt_ids, *reply))
        weights = filtered_weights(adjust(raw, request, reply, end_id), request.sampling)
        shares = weights.astype(float) / weights.sum(dtype=float)
        return ((token_id, p) for token_id, p in enumerate(shares.tolist()) if p > 0)

    odds: dict[Tokens, float] = {}
    for first, share in next_odds(()):
        if first == end_id:
            odds[first,] = share
        else:
            odds |= {(first, second): share * p for second, p in next_odds((first,))}
    return odds


def p_value(counts: Counter[Tokens], odds: Mapping[Tokens, float]) -> float:
    """Of Pearson's chi-squared test; 0 when something impossible was seen."""
    if counts.keys() - odds.keys():
        return 0.0
    expected, seen = torch.tensor(_cells(counts, odds), dtype=torch.float64).T
    statistic = ((seen - expected) ** 2 / expected).sum()
    freedom = torch.tensor(len(expected) - 1, dtype=torch.float64)
    return float(torch.special.gammaincc(freedom / 2, statistic / 2))


def _cells(counts: Counter[Tokens], odds: Mapping[Tokens, float]) -> list[tuple[float, int]]:
    """Expected and seen draws of cells; replies too rare for one of their own share one."""
    cells = []
    draws = counts.total()
    expected, seen = 0.0, 0
    for reply in sorted(odds, key=odds.__getitem__):
        expected += odds[reply] * draws
        seen += counts[reply]
        if expected >= FEWEST_EXPECTED:
            cells.append((expected, seen))
            expected, seen = 0.0, 0
    return cells
