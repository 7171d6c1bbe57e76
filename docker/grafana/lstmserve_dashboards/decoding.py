"""Panels about the batch and its steps."""

from __future__ import annotations

from lstmserve_dashboards.latency import quantiles
from lstmserve_dashboards.objectives import MIN_TOKENS_PER_SECOND
from lstmserve_dashboards.panels import Limit, Panel, Query, lines
from lstmserve_dashboards.promql import (
    BY_MODEL,
    MODEL,
    SERVER,
    by,
    mean,
    or_none,
    rate,
    select,
    share,
    total,
)

LEGEND = "{{model}} {{version}}"
MADE = 'source="model"'


def speed() -> Panel:
    made = by("instance", rate("generated_tokens_total", MODEL, MADE))
    sent = by("instance", select("tokens_per_second", MODEL))
    nothing = f"0 * {by('instance', f'up{{{SERVER}}}')}"
    return lines(
        "Tokens per second of each server",
        "The rate is of what models made. The gauge counts every source over the last ten seconds, so it moves first. The dashed line is the floor, which only counts while replies run.",
        "none",
        Query(f"{made} or {nothing}", "{{instance}} made"),
        Query(f"{sent} or {nothing}", "{{instance}} sent, last 10 s"),
        limit=Limit(MIN_TOKENS_PER_SECOND, is_floor=True),
    )


def rows() -> Panel:
    return lines(
        "Rows per decode call",
        "How many replies share a step. More rows cost each little and bring all more tokens per second; at --max-running requests wait. A gap: nothing was decoded.",
        "none",
        Query(mean("batch_rows", MODEL, BY_MODEL), f"{LEGEND} mean"),
        *quantiles("batch_rows", MODEL),
    )


def step() -> Panel:
    return lines(
        "Time of a decode step",
        "One token for every row. It grows with the rows; if it grows without them, the cores are busy with something else. A gap: nothing was decoded.",
        "s",
        Query(mean("step_seconds", MODEL, BY_MODEL), f"{LEGEND} mean"),
        *quantiles("step_seconds", MODEL),
    )


def wasted() -> Panel:
    made = rate("generated_tokens_total", MODEL, MADE)
    wasted = rate("wasted_tokens_total", MODEL)
    decoded = f"{total(made)} + {total(wasted)}"
    return lines(
        "Tokens decoded for nobody",
        "As a share of all that were decoded. finished: the rest of a quantum in which a reply ended. cancelled: the caller left. A smaller --quantum-steps wastes less and costs speed.",
        "percentunit",
        Query(or_none("reason", share(by("reason", wasted), decoded)), "{{reason}}"),
        stacked=True,
    )


def prompts() -> Panel:
    return lines(
        "Prompt tokens per second",
        "Of the requests that passed every check. Prompts whose states are kept are not read again: see the cache.",
        "none",
        Query(or_none("model", by(BY_MODEL, rate("prompt_tokens_total", MODEL))), LEGEND),
        stacked=True,
    )
