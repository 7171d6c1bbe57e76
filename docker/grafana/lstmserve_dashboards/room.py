"""Panels about how much more the servers could take."""

from __future__ import annotations

from lstmserve_dashboards.panels import HALF, Limit, Panel, Query, lines
from lstmserve_dashboards.promql import BY_MODEL, MODEL, SERVER, by, ratio, select

LABELS = ("instance", *BY_MODEL)
LEGEND = "{{instance}} {{model}} {{version}}"


def places() -> Panel:
    running = by(LABELS, select("running_sequences", MODEL))
    bound = by(LABELS, select("max_running_sequences", MODEL))
    return lines(
        "Places taken",
        "Running replies as a share of --max-running. At 100 % every further request waits; if that lasts, it is time for another server.",
        "percentunit",
        Query(ratio(running, bound), LEGEND),
        limit=Limit(1),
    )


def queue() -> Panel:
    waiting, parked = select("waiting_sequences", MODEL), select("parked_sequences", MODEL)
    queued = f"({by(LABELS, waiting)} + {by(LABELS, parked)})"
    bound = by(LABELS, select("max_waiting_sequences", MODEL))
    return lines(
        "Queue taken",
        "Waiting and parked requests as a share of --max-waiting. At 100 % requests are refused as queue_full.",
        "percentunit",
        Query(ratio(queued, bound), LEGEND),
        limit=Limit(1),
    )


def sequences() -> Panel:
    return lines(
        "Replies by stage",
        "running: in the batch. waiting: not begun. parked: begun and set aside, because their readers are slow or another caller's turn has come.",
        "none",
        *(
            Query(f"(sum({select(f'{stage}_sequences', MODEL)}) or vector(0))", stage)
            for stage in ("running", "waiting", "parked")
        ),
        stacked=True,
    )


def waiting_tokens() -> Panel:
    return lines(
        "Tokens that wait",
        "Prompt tokens and max_tokens of the requests that wait: how much work lies ahead. Divided by the tokens per second it is how long that takes.",
        "none",
        Query(by("instance", select("waiting_tokens", MODEL)), "{{instance}}"),
    )


def states_memory() -> Panel:
    return lines(
        "Memory of models and states",
        "The files of every version that is loaded, and the states of its running replies. Both are fixed from the load on.",
        "bytes",
        Query(by(BY_MODEL, select("model_bytes", MODEL)), "{{model}} {{version}} files"),
        Query(by(BY_MODEL, select("state_bytes", MODEL)), "{{model}} {{version}} states"),
    )


def workers() -> Panel:
    serving = by("instance", select("workers", SERVER))
    return lines(
        "Processes that serve",
        "Workers that serve now, or 1 for a server without workers; engines, which have processes of their own, do not count. Below --workers, one is being started again.",
        "none",
        Query(f"{serving} or {by('instance', f'up{{{SERVER}}}')}", "{{instance}}"),
        width=HALF,
    )
