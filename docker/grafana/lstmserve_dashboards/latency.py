"""Panels about how long callers wait, and where that time goes."""

from __future__ import annotations

from lstmserve_dashboards.objectives import FIRST_TOKEN_SECONDS, MIN_IN_TIME
from lstmserve_dashboards.panels import Limit, Panel, Query, lines, number
from lstmserve_dashboards.promql import GENERATING, MODEL, quantile, rate, ratio, total

QUANTILES = (0.5, 0.95, 0.99)
STREAMS = 'rpc="Generate"'
FIRST = "time_to_first_token_seconds"


def first_token_in_time() -> Panel:
    streams = total(rate(f"{FIRST}_count", MODEL, STREAMS))
    in_time = total(rate(f"{FIRST}_bucket", MODEL, STREAMS, f'le="{FIRST_TOKEN_SECONDS}"'))
    return number(
        "First token within 100 ms",
        "Share of finished streams whose first token came in time. The objective is at least 99 %. It reads 100 % while nobody asks.",
        "percentunit",
        f"1 - {ratio(f'({streams} - {in_time})', streams)}",
        Limit(MIN_IN_TIME, is_floor=True),
    )


def first_token() -> Panel:
    return lines(
        "Time to first token of streams",
        "From a request's arrival to its first token, of finished streams. The dashed line is the objective for 99 of 100. A gap: no stream ended.",
        "s",
        *quantiles(FIRST, MODEL, STREAMS),
        limit=Limit(FIRST_TOKEN_SECONDS),
    )


def between_tokens() -> Panel:
    return lines(
        "Time between tokens of streams",
        "Gaps between a stream's messages, divided by the tokens they bring: what a reader sees as speed. A gap in the lines: no stream ran.",
        "s",
        *quantiles("inter_token_seconds", MODEL),
    )


def whole_request() -> Panel:
    queries = [
        Query(
            quantile(q, "request_seconds", GENERATING, 'outcome="ok"', labels="rpc"),
            f"{{{{rpc}}}} {name_quantile(q)}",
        )
        for q in (0.5, 0.99)
    ]
    return lines(
        "Whole requests that went well",
        "From a call's arrival to its end, by method. It grows with the length of replies: compare with the time between tokens. A gap: none ended.",
        "s",
        *queries,
    )


def queued() -> Panel:
    return lines(
        "Time in the queue",
        "From arrival to the first work on a request. It grows as soon as all places are taken: see Places taken on the overview. A gap: the model was asked nothing.",
        "s",
        *quantiles("queue_seconds", MODEL),
    )


def prefill() -> Panel:
    return lines(
        "Reading the prompt",
        "From the first work on a request to its prompt being read, between the quanta of replies that run. Longer prompts and more new requests make it grow. A gap: nothing was read.",
        "s",
        *quantiles("prefill_seconds", MODEL),
    )


def cancellation() -> Panel:
    return lines(
        "From a caller's leaving to the freed row",
        "How long work goes on for a caller who cancelled or whose deadline passed. More than a few quanta: the engine's process is starved of CPU. A gap: nobody left.",
        "s",
        *quantiles("cancel_seconds", MODEL),
    )


def quantiles(histogram: str, where: str, *matchers: str) -> list[Query]:
    return [Query(quantile(q, histogram, where, *matchers), name_quantile(q)) for q in QUANTILES]


def name_quantile(q: float) -> str:
    return f"p{q * 100:g}"
