"""Panels about the replies of each version."""

from __future__ import annotations

from lstmserve_dashboards.objectives import (
    MAX_EMPTY,
    MAX_PERPLEXITY_RATIO,
    MAX_UNSURE,
    MIN_DISTINCT_2,
)
from lstmserve_dashboards.panels import Limit, Panel, Query, lines
from lstmserve_dashboards.promql import (
    BY_MODEL,
    GENERATING,
    MODEL,
    by,
    or_none,
    per,
    quantile,
    rate,
    select,
)

LEGEND = "{{model}} {{version}}"
FINISHED = "time_to_first_token_seconds_count"


def perplexity() -> Panel:
    return lines(
        "Perplexity",
        "Of generated tokens under the model itself, mean over servers, beside its mean over the day before. Low temperatures lower it, so compare a version with itself. A gap: no replies yet.",
        "none",
        Query(f"exp({_mean('quality_log_perplexity')})", f"{LEGEND} now"),
        Query(f"exp({_day_before('quality_log_perplexity')})", f"{LEGEND} last day"),
    )


def drift() -> Panel:
    now, before = _mean("quality_log_perplexity"), _day_before("quality_log_perplexity")
    drift = f"exp({now} - {before})"
    return lines(
        "Perplexity over that of the last day",
        "Usually near 1. Above the dashed line a version's replies surprise the model more than they did: callers ask for other temperatures, or for what the model does not know. A gap: no replies yet.",
        "none",
        Query(drift, LEGEND),
        limit=Limit(MAX_PERPLEXITY_RATIO),
    )


def window() -> Panel:
    return lines(
        "Tokens behind the live figures",
        "How many generated tokens the live perplexity is the mean of, over all servers. Below a few thousand, the other figures are noise.",
        "none",
        Query(by(BY_MODEL, select("quality_window_tokens", MODEL)), LEGEND),
    )


def distinct() -> Panel:
    distinct = by((*BY_MODEL, "n"), select("quality_distinct", MODEL), "avg")
    return lines(
        "Variety of words",
        "Distinct words (1) and pairs of words (2) over all of them in the latest replies. A fall says that replies repeat themselves, or each other. The dashed line is the least for pairs. A gap: no replies yet.",
        "percentunit",
        Query(distinct, f"{LEGEND}: {{{{n}}}}"),
        limit=Limit(MIN_DISTINCT_2, is_floor=True),
    )


def empty() -> Panel:
    return lines(
        "Replies without a word",
        "Share of the latest replies that are empty: callers see nothing. It should be 0. A gap: no replies yet.",
        "percentunit",
        Query(_mean("quality_empty_ratio"), LEGEND),
        limit=Limit(MAX_EMPTY),
    )


def limited() -> Panel:
    return lines(
        "Replies cut off by max_tokens",
        "Share of the latest replies that did not end by themselves. Much of it: callers ask for too little, or the model does not know how to end. A gap: no replies yet.",
        "percentunit",
        Query(_mean("quality_length_limit_ratio"), LEGEND),
    )


def finished() -> Panel:
    return lines(
        "Replies per second by version",
        "Replies that ended, from wherever they came: what each version really serves.",
        "reqps",
        Query(or_none("model", by(BY_MODEL, rate(FINISHED, MODEL))), LEGEND),
        stacked=True,
    )


def lengths() -> Panel:
    tokens = by(BY_MODEL, rate("generated_tokens_total", MODEL))
    return lines(
        "Tokens per reply",
        "Mean length of replies by version, with the tokens of calls that were cancelled. A jump after a change of versions is worth a look. A gap: no reply ended.",
        "none",
        Query(per(tokens, by(BY_MODEL, rate(FINISHED, MODEL))), LEGEND),
    )


def reasons() -> Panel:
    ended = by("finish_reason", rate("requests_total", GENERATING, 'finish_reason!=""'))
    return lines(
        "Replies per second by why they ended",
        "end_of_text: the model ended the reply. max_tokens: the caller's limit did. stop_sequence: the caller's own text was met.",
        "reqps",
        Query(or_none("finish_reason", ended), "{{finish_reason}}"),
        stacked=True,
    )


def unsure() -> Panel:
    ended = by(BY_MODEL, rate("reply_outcomes_total", MODEL))
    asked_back = by(BY_MODEL, rate("reply_outcomes_total", MODEL, 'outcome=~"unsure|handover"'))
    return lines(
        "Replies that ask back or hand over",
        "Share of replies of versions with a classifier that say they do not know, or that a person is to take over. Above the dashed line customers ask what the version was not made for, or a client asks for much confidence. A gap: no such replies.",
        "percentunit",
        Query(per(f"({asked_back} or 0 * {ended})", ended), LEGEND),
        limit=Limit(MAX_UNSURE),
    )


def labels() -> Panel:
    found = by("label", rate("classifications_total", MODEL))
    return lines(
        "What is asked per second",
        "Texts that were classified, by label, before replies and by Classify.",
        "reqps",
        Query(or_none("label", found), "{{label}}"),
        stacked=True,
    )


def confidence() -> Panel:
    return lines(
        "Confidence",
        "Probability of the label: the median, and what nine in ten are above. A fall says that customers ask otherwise than the version has learned. A gap: nothing was classified.",
        "percentunit",
        Query(quantile(0.5, "classification_confidence", MODEL), "median"),
        Query(quantile(0.1, "classification_confidence", MODEL), "nine in ten are above"),
    )


def _mean(gauge: str) -> str:
    return by(BY_MODEL, select(gauge, MODEL), "avg")


def _day_before(gauge: str) -> str:
    return by(BY_MODEL, f"avg_over_time({select(gauge, MODEL)}[1d])", "avg")
