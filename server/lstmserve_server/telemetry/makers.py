"""Makes the metrics of one registry, and knows which of them tell of a single version."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.metrics_core import Metric

from lstmserve_server.telemetry.buckets import SECONDS
from lstmserve_server.telemetry.rates import RateGauge

PREFIX = "lstmserve"
MODEL = ("model", "version")


class Forgettable(Protocol):
    """A metric whose series can be dropped."""

    def remove_by_labels(self, labels: dict[str, str]) -> None:
        """Drop those that have these labels."""


Made = TypeVar("Made", bound=Forgettable)


class SparseGauge(Gauge):
    """A gauge without a sample while it has nothing to tell, which is when it is NaN.

    A NaN on the page would spoil every average over workers, and no alert could see it.
    """

    def collect(self) -> Iterable[Metric]:
        for family in super().collect():
            family.samples = [one for one in family.samples if not math.isnan(one.value)]
            yield family


class Makers:
    """Makes metrics, and drops the series of a version that is gone."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._of_versions: list[Forgettable] = []

    def counter(self, name: str, text: str, labels: Sequence[str]) -> Counter:
        """Never forgotten: a total does not go back."""
        return Counter(name, text, labels, namespace=PREFIX, registry=self._registry)

    def gauge(self, name: str, text: str, labels: Sequence[str]) -> Gauge:
        made = Gauge(name, text, labels, namespace=PREFIX, registry=self._registry)
        return self._note(made, labels)

    def sparse_gauge(self, name: str, text: str, labels: Sequence[str]) -> SparseGauge:
        made = SparseGauge(name, text, labels, namespace=PREFIX, registry=self._registry)
        return self._note(made, labels)

    def lasting_gauge(self, name: str, text: str, labels: Sequence[str]) -> Gauge:
        """One that tells of versions that are gone, too."""
        return Gauge(name, text, labels, namespace=PREFIX, registry=self._registry)

    def rate_gauge(self, name: str, text: str, labels: Sequence[str]) -> RateGauge:
        made = RateGauge(f"{PREFIX}_{name}", text, labels)
        self._registry.register(made)
        return self._note(made, labels)

    def histogram(
        self,
        name: str,
        text: str,
        labels: Sequence[str] = MODEL,
        buckets: Sequence[float] = SECONDS,
    ) -> Histogram:
        made = Histogram(
            name, text, labels, namespace=PREFIX, registry=self._registry, buckets=buckets
        )
        return self._note(made, labels)

    def info(self, name: str, text: str, labels: Sequence[str]) -> Info:
        made = Info(name, text, labels, namespace=PREFIX, registry=self._registry)
        return self._note(made, labels)

    def forget(self, model: str, version: str) -> None:
        for metric in self._of_versions:
            metric.remove_by_labels({"model": model, "version": version})

    def _note(self, made: Made, labels: Sequence[str]) -> Made:
        if set(MODEL) <= set(labels):
            self._of_versions.append(made)
        return made
