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


def wait_for_scrape(prometheus: Prometheus, instance: str) -> float:
    """Until it has read a page that a server wrote after now; when it did."""
    now = time.time()
    until(
        lambda: find_scrape(prometheus, instance) > now,
        lambda: f"{instance} was not scraped after {now}",
    )
    return find_scrape(prometheus, instance)


def find_scrape(prometheus: Prometheus, instance: str) -> float:
    """The time of the latest scrape if it brought a page, else 0."""
    # of a bare selector: of anything else it is the time of asking
    asked = f'timestamp(lstmserve_start_time_seconds{{instance="{instance}"}})'
    return max((series.last for series in prometheus.query(asked)), default=0.0)
