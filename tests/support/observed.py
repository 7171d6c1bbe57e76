"""Servers that a Prometheus watches."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.testbed.prometheus import Prometheus


@dataclass(frozen=True)
class Watched:
    """A server by the name that Prometheus has for it, and when it was scraped last.

    A busy machine may miss a scrape at any time, and what was there is gone until the next.
    """

    instance: str
    at: float


@dataclass(frozen=True)
class Observed:
    """A Prometheus, a server that was asked much, and one that was asked nothing."""

    prometheus: Prometheus
    busy: Watched
    idle: Watched
