"""Panels about cached entries of one kind; replies and states have the same."""

from __future__ import annotations

from dataclasses import dataclass

from lstmserve_dashboards.latency import name_quantile
from lstmserve_dashboards.panels import Panel, Query, lines
from lstmserve_dashboards.promql import SERVER, by, or_none, quantile, rate, ratio, select


@dataclass(frozen=True)
class Kind:
    """What is kept, and how its metrics begin."""

    what: str
    prefix: str


REPLIES = Kind("replies", "cache")
STATES = Kind("states", "state_cache")


def lookups(kind: Kind) -> list[Panel]:
    """Whether entries are found, and how fast."""
    asked = f"{kind.prefix}_lookups_total"
    hits = by("store", rate(asked, SERVER, 'outcome="hit"'))
    answered = by("store", rate(asked, SERVER, 'outcome=~"hit|miss"'))
    everything = by(("store", "outcome"), rate(asked, SERVER))
    return [
        lines(
            f"Lookups of {kind.what} per second",
            "By store and outcome. Redis is asked only for what memory has not. error: no answer in time. skipped: Redis is left alone because it failed.",
            "ops",
            Query(or_none("outcome", everything), "{{store}} {{outcome}}"),
            stacked=True,
        ),
        lines(
            f"Share of {kind.what} found",
            "Hits among the lookups that were answered, by store; 0 while nobody asks. Redis sees what memory missed, so its share is lower.",
            "percentunit",
            Query(or_none("store", ratio(hits, answered)), "{{store}}"),
        ),
        lines(
            f"Time of a lookup of {kind.what}",
            "By store. What Redis takes is added to the time to first token of everything that is not found. A gap: nothing was looked up.",
            "s",
            *(
                Query(
                    quantile(q, f"{kind.prefix}_lookup_seconds", SERVER, labels="store"),
                    f"{{{{store}}}} {name_quantile(q)}",
                )
                for q in (0.5, 0.99)
            ),
        ),
    ]


def held(kind: Kind) -> list[Panel]:
    """How much is kept, and what comes and goes."""
    stores = by("store", rate(f"{kind.prefix}_stores_total", SERVER))
    evictions = by(("store", "cause"), rate(f"{kind.prefix}_evictions_total", SERVER))
    return [
        lines(
            f"Memory of {kind.what}",
            "What is held in the servers' memory, and the bound. At the bound, entries go by size: see what leaves. Redis has its own bound.",
            "bytes",
            Query(f"sum({select(f'{kind.prefix}_bytes', SERVER)})", "held"),
            Query(f"sum({select(f'{kind.prefix}_max_bytes', SERVER)})", "bound"),
        ),
        lines(
            f"Number of {kind.what}",
            "Entries in the servers' memory.",
            "none",
            Query(by("instance", select(f"{kind.prefix}_entries", SERVER)), "{{instance}}"),
        ),
        lines(
            f"{kind.what.capitalize()} that come and go",
            "Per second. size: something else was worth more; if that is much while hits fall, raise the bound. expired: its time was over. purged: an administrator's wish.",
            "ops",
            Query(or_none("store", stores), "{{store}} written"),
            Query(or_none("cause", evictions), "{{store}} gone: {{cause}}"),
        ),
    ]
