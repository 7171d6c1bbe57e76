"""The metrics of several workers on one page."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from lstmserve_server.telemetry.merge import keep_totals, merge
from lstmserve_server.telemetry.metrics import SupervisorMetrics
from lstmserve_server.telemetry.process import describe_process
from lstmserve_server.telemetry.scrape import scrape


@dataclass(eq=False)
class WorkerPage:
    """One worker's page as last read; a worker that is slow to answer keeps its numbers."""

    url: str
    families: list[Metric] = field(default_factory=list)


class WorkerPages:
    """Merges the workers' pages at every scrape of its registry.

    Totals never go back: those of a worker that has ended are kept as they were last read.
    """

    def __init__(self) -> None:
        # of the supervisor itself: its memory, and what there is to say of the workers
        self._own = CollectorRegistry()
        self._metrics = SupervisorMetrics(self._own)
        describe_process(self._metrics.process)
        self._pages: list[WorkerPage] = []
        self._ended: list[Metric] = []  # totals of workers that have ended
        self._state = threading.Lock()  # of pages and ended: the event loop changes them too
        self._scraping = threading.Lock()  # an older answer must not replace a newer one
        self.registry = CollectorRegistry(support_collectors_without_names=True)
        self.registry.register(self)

    def add(self, url: str) -> WorkerPage:
        """A worker has begun to serve, with its metrics at this address."""
        page = WorkerPage(url)
        with self._state:
            self._pages.append(page)
            self._metrics.workers.set(len(self._pages))
        return page

    def retire(self, page: WorkerPage) -> None:
        """Its worker has ended."""
        with self._state:
            self._pages.remove(page)
            self._metrics.workers.set(len(self._pages))
            self._ended = merge(chain(self._ended, keep_totals(page.families)))

    def count_restart(self) -> None:
        self._metrics.restarts.inc()

    def collect(self) -> Iterable[Metric]:
        """Called by the registry on the exporter's threads."""
        with self._scraping:
            self._refresh()
            with self._state:
                pages = [page.families for page in self._pages]
                return merge(chain(self._own.collect(), self._ended, *pages))

    def _refresh(self) -> None:
        with self._state:
            pages = [*self._pages]
        for page in pages:
            families = scrape(page.url)
            with self._state:
                # one that retired meanwhile has been counted with what was read before
                if families is not None and page in self._pages:
                    page.families = families
