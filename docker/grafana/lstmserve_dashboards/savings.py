"""Panels about what the caches bring, and whether Redis is well."""

from __future__ import annotations

from lstmserve_dashboards.entries import REPLIES, STATES
from lstmserve_dashboards.panels import HALF, Limit, Panel, Query, lines, states
from lstmserve_dashboards.promql import GENERATING, SERVER, by, or_none, rate, ratio, select, total

BREAKER = (("asked", "green"), ("left alone", "red"))


def outcomes() -> Panel:
    found = by("cache", rate("requests_total", GENERATING, 'cache!=""'))
    return lines(
        "Requests per second by what the cache did",
        "hit: a kept reply was sent. coalesced: an identical request was in flight. miss: the model worked. The others did not ask the cache.",
        "reqps",
        Query(or_none("cache", found), "{{cache}}"),
        stacked=True,
    )


def share() -> Panel:
    spared = total(rate("requests_total", GENERATING, 'cache=~"hit|coalesced"'))
    every = total(rate("requests_total", GENERATING, 'cache!=""'))
    return lines(
        "Requests that cost no generating",
        "Kept and coalesced replies among all requests that reached the cache; 0 while nobody asks.",
        "percentunit",
        Query(ratio(spared, every), "kept or coalesced"),
    )


def seconds() -> Panel:
    return lines(
        "Generating that was spared",
        "Seconds of generating per second that kept and coalesced replies made unnecessary: about how many more streams the model would have to serve.",
        "none",
        Query(total(rate("cache_saved_seconds_total", SERVER)), "seconds per second"),
        Query(
            total(rate("cache_coalesced_requests_total", SERVER)), "coalesced requests per second"
        ),
    )


def breaker() -> Panel:
    return states(
        "Redis",
        "Left alone: it failed, and is tried again after a pause. Callers notice nothing but the speed.",
        Query(by("instance", select("cache_breaker_open", SERVER), "max"), "{{instance}}"),
        BREAKER,
    )


def problems() -> Panel:
    return lines(
        "Cache problems per second",
        "What no caller noticed. timeout, connection: Redis is slow or gone. full: it takes no more. corrupt: an entry was damaged, and is not used. dropped: a write found the queue full.",
        "ops",
        *(
            Query(
                or_none("kind", by("kind", rate(f"{kind.prefix}_errors_total", SERVER))),
                f"{kind.what}: {{{{kind}}}}",
            )
            for kind in (REPLIES, STATES)
        ),
        width=HALF,
        limit=Limit(1),
    )
