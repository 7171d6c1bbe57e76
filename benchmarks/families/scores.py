"""How near replies are to what was wanted, with intervals of 95 % by bootstrap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rouge_score import rouge_scorer, scoring
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

RESAMPLES = 1000
Interval = tuple[float, float, float]  # what was measured, and between what it lies


def score(replies: Sequence[str], wanted: Sequence[str]) -> dict[str, Interval]:
    """Return BLEU, chrF and ROUGE-L, each of 100, and how many of 100 are as wanted.

    Case makes no difference.
    """
    return {
        "BLEU": _sacrebleu(BLEU(lowercase=True), replies, wanted),
        "chrF": _sacrebleu(CHRF(lowercase=True), replies, wanted),
        "ROUGE-L": _rouge(replies, wanted),
        "same": _same(replies, wanted),
    }


def _sacrebleu(metric: BLEU | CHRF, replies: Sequence[str], wanted: Sequence[str]) -> Interval:
    found = metric.corpus_score(replies, [wanted], n_bootstrap=RESAMPLES)
    mean, half = float(found._mean), float(found._ci)  # noqa: SLF001 - told nowhere else
    return found.score, mean - half, mean + half


def _rouge(replies: Sequence[str], wanted: Sequence[str]) -> Interval:
    np.random.seed(0)  # noqa: NPY002 - the library resamples by it
    scorer = rouge_scorer.RougeScorer(["rougeL"])
    aggregator = scoring.BootstrapAggregator(n_samples=RESAMPLES)
    rows = [scorer.score(right, reply) for reply, right in zip(replies, wanted, strict=True)]
    for row in rows:
        aggregator.add_scores(row)
    found = aggregator.aggregate()["rougeL"]
    mean = float(np.mean([row["rougeL"].fmeasure for row in rows]))
    return 100 * mean, 100 * float(found.low.fmeasure), 100 * float(found.high.fmeasure)


def _same(replies: Sequence[str], wanted: Sequence[str]) -> Interval:
    pairs = zip(replies, wanted, strict=True)
    is_same = np.array([a.lower().split() == b.lower().split() for a, b in pairs])
    drawn = np.random.default_rng(0).choice(is_same, (RESAMPLES, len(is_same))).mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return 100 * float(is_same.mean()), 100 * float(low), 100 * float(high)
