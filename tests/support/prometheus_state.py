"""Waiting for what a Prometheus knows."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.dashboards.prometheus import Prometheus

WAIT_SECONDS = 60.0
PAUSE_SECONDS = 0.05


def until(condition: Callable[[], object], what: Callable[[], object]) -> None:
    """Ask until something is so, which Prometheus has no events for; ``what`` is said if never."""
    ends_at = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < ends_at, what()
        time.sleep(PAUSE_SECONDS)


def wait_for_scrape(prometheus: Prometheus, instance: str) -> None:
    """Until it has read a page that a server wrote after now."""
    now, asked = time.time(), f'timestamp(up{{instance="{instance}"}} == 1)'
    until(
        lambda: any(series.last > now for series in prometheus.query(asked)),
        lambda: f"{instance} was not scraped after {now}",
    )
