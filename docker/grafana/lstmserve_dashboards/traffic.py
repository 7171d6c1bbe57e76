"""Panels about what callers ask and get."""

from __future__ import annotations

from lstmserve_dashboards.objectives import MAX_FAILED
from lstmserve_dashboards.panels import Limit, Panel, Query, lines, number
from lstmserve_dashboards.promql import GENERATING, MODEL, SERVER, by, or_none, rate, ratio, total

COLORS = {
    "ok": "green",
    "cancelled": "blue",
    "deadline": "purple",
    "refused": "yellow",
    "unavailable": "orange",
    "error": "red",
}


def tokens_now() -> Panel:
    return number(
        "Tokens per second",
        "Tokens sent to callers, wherever they came from: the model, the cache, or a reply shared with another caller.",
        "none",
        total(rate("generated_tokens_total", MODEL)),
    )


def requests_now() -> Panel:
    return number(
        "Requests per second",
        "Generate and GenerateReply calls that ended, however they did.",
        "reqps",
        total(rate("requests_total", GENERATING)),
    )


def failed_now() -> Panel:
    failed = rate("requests_total", GENERATING, 'outcome=~"error|unavailable"')
    return number(
        "Failed by our fault",
        "Share of requests that ended as error or unavailable. The objective is at most 0.1 % over 30 days. Refused requests are not in it.",
        "percentunit",
        ratio(total(failed), total(rate("requests_total", GENERATING))),
        Limit(MAX_FAILED),
    )


def tokens() -> Panel:
    return lines(
        "Tokens per second by source",
        "What callers received: from the model, from the cache, or coalesced, the reply of an identical request in flight. Only the model's share costs much CPU.",
        "none",
        Query(or_none("source", by("source", rate("generated_tokens_total", MODEL))), "{{source}}"),
        stacked=True,
    )


def outcomes() -> Panel:
    return lines(
        "Requests per second by outcome",
        "How calls end. error and unavailable are our fault; refused is a wrong request or too much load (see the reasons beside); cancelled and deadline are the caller's own.",
        "reqps",
        Query(or_none("outcome", by("outcome", rate("requests_total", GENERATING))), "{{outcome}}"),
        stacked=True,
        colors=COLORS,
    )


def refusals() -> Panel:
    return lines(
        "Refusals per second by reason",
        "queue_full and queue_tokens_full: more work than the servers can do. caller_share: one caller floods. deadline: shorter than the work. The others are wrong requests.",
        "reqps",
        Query(or_none("reason", by("reason", rate("rejected_total", SERVER))), "{{reason}}"),
        stacked=True,
    )
