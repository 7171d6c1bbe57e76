"""Panels about versions of models, and what becomes of them."""

from __future__ import annotations

from lstmserve_dashboards.panels import HALF, Panel, Query, lines, listing, states
from lstmserve_dashboards.promql import BY_MODEL, MODEL, SERVER, by, or_none, rate, ratio, select

INEXACT = "ready, inexact"  # not a state of its own, but nothing that should be overlooked
# where workers or servers differ, the later one is shown: what needs attention is last
STATES = (
    ("none", "text"),
    ("unloaded", "blue"),
    ("ready", "green"),
    (INEXACT, "purple"),
    ("unloading", "yellow"),
    ("loading", "orange"),
    ("failed", "red"),
)
LEGEND = "{{model}} {{version}}"


def states_of_versions() -> Panel:
    numbered = " or ".join(
        f"({_series_of(state)} > bool 0) * {number}"
        for number, (state, _) in enumerate(STATES)
        if number
    )
    return states(
        "States of versions",
        "What becomes of every version: a new one turns from loading to ready, then the old one from unloading to unloaded. Inexact ones are served by --allow-inexact. Where servers differ, the state that needs more attention is shown.",
        Query(by(BY_MODEL, numbered, "max"), LEGEND),
        STATES,
    )


def _series_of(state: str) -> str:
    if state == INEXACT:
        return select("model_inexact", MODEL)
    return select("model_state", MODEL, f'state="{state}"')


def traffic_shares() -> Panel:
    return lines(
        "Traffic by version",
        "The share of requests naming no version that each version gets. A canary is the thin band.",
        "percentunit",
        Query(by(BY_MODEL, select("model_traffic_share", MODEL), "avg"), LEGEND),
        stacked=True,
        width=HALF,
    )


def served_versions() -> Panel:
    return listing(
        "Versions that are served",
        "By digest: servers with the same digest give the same replies, bit for bit.",
        by((*BY_MODEL, "family", "digest"), select("model_info", MODEL), "count"),
        "Servers",
    )


def loads() -> Panel:
    loads = by((*BY_MODEL, "outcome"), rate("model_loads_total", MODEL))
    return lines(
        "Loads of versions",
        "Per minute, by how they ended. A failed load leaves what is served as it is: the log names the file.",
        "none",
        Query(f"60 * ({or_none('outcome', loads)})", f"{LEGEND} {{{{outcome}}}}"),
        width=HALF,
    )


def load_seconds() -> Panel:
    where = f'{SERVER},model=~"$model"'
    seconds = by("model", select("model_load_seconds_sum", where))
    return lines(
        "Time to load a version",
        "From the files to a version that is warm: checksums, weights, first tokens. The mean of all loads since the servers started, for there are few.",
        "s",
        Query(ratio(seconds, by("model", select("model_load_seconds_count", where))), "{{model}}"),
        width=HALF,
    )
