"""The metrics of several workers on one page."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import chain
from urllib.request import ProxyHandler, Request, build_opener

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from lstmserve_server.telemetry.merge import (
    drop_unloaded,
    find_lost,
    keep_totals,
    merge,
    tell_apart,
)
from lstmserve_server.telemetry.metrics import SupervisorMetrics
from lstmserve_server.telemetry.process import describe_process

# of the two formats the one that tells what is an info; the other calls it a gauge
ACCEPT = {"Accept": "application/openmetrics-text; version=1.0.0"}
TIMEOUT_SECONDS = 1.0
DIRECT = build_opener(ProxyHandler({}))  # whatever proxy the environment names


@dataclass(eq=False)
class WorkerPage:
    """One worker's page as last read; a worker that is slow to answer keeps its numbers."""

    url: str
    worker: int  # its number, which the next one in its place has, too
    families: list[Metric] = field(default_factory=list)


class WorkerPages:
    """Merges the workers' pages at every scrape of its registry.

    Totals never go back: those of a worker that has ended, or of a version that it has
    forgotten while others have it, are kept as they were last read.
    """

    def __init__(self) -> None:
        # of the supervisor itself: its memory, and what there is to say of the workers
        self._own = CollectorRegistry()
        self._metrics = SupervisorMetrics(self._own)
        describe_process(self._metrics.process)
        self._pages: list[WorkerPage] = []
        self._kept: list[Metric] = []  # totals that no worker tells any more
        self._state = threading.Lock()  # of both of these: the event loop changes them, too
        self._scraping = threading.Lock()  # an older answer must not replace a newer one
        self.registry = CollectorRegistry(support_collectors_without_names=True)
        self.registry.register(self)

    def add(self, url: str, worker: int) -> WorkerPage:
        """The worker of this number has begun to serve, with its metrics at this address."""
        page = WorkerPage(url, worker)
        with self._state:
            self._pages.append(page)
            self._metrics.workers.set(len(self._pages))
        return page

    def retire(self, page: WorkerPage) -> None:
        """Its worker has ended."""
        with self._state:
            self._pages.remove(page)
            self._metrics.workers.set(len(self._pages))
            self._keep(keep_totals(page.families))

    def count_restart(self) -> None:
        self._metrics.restarts.inc()

    def collect(self) -> Iterable[Metric]:
        """Called by the registry on the exporter's threads."""
        with self._scraping:
            self._refresh()
            with self._state:
                pages = [page.families for page in self._pages]
                return merge(chain(self._own.collect(), self._kept, *pages))

    def _refresh(self) -> None:
        with self._state:
            pages = [*self._pages]
        for page in pages:
            families = scrape(page.url)
            with self._state:
                # one that retired meanwhile has been counted with what was read before
                if families is not None and page in self._pages:
                    self._keep(find_lost(page.families, families))
                    page.families = tell_apart(families, page.worker)
        with self._state:
            living = [page.families for page in self._pages]
            if living and all(living):  # one that was never read may have any version
                self._kept = drop_unloaded(self._kept, chain.from_iterable(living))

    def _keep(self, totals: Iterable[Metric]) -> None:
        self._kept = merge(chain(self._kept, totals))


def scrape(url: str) -> list[Metric] | None:
    """The families of a page; None when nobody answers in time."""
    try:
        with DIRECT.open(Request(url, headers=ACCEPT), timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - our own worker
            text = answer.read().decode()
    except (OSError, HTTPException):
        return None
    return [*text_string_to_metric_families(text)]  # type: ignore[no-untyped-call]
