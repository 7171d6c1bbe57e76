"""The kinds of metrics, and what makes them: it knows which of them tell of a single version."""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

# twelve steps make a decade, each 21 % above the one before
STEPS = tuple(round(10 ** (step / 12), 2) for step in range(12))


def _decade(exponent: int, every: int = 1) -> tuple[float, ...]:
    """The steps from one power of ten to before the next, or every so many of them."""
    return tuple(float(f"{step}e{exponent}") for step in STEPS[::every])


# From 0.1 ms: a service that answers in milliseconds is invisible in the usual buckets. Fine
# from 0.46 to 68 ms, so that a quantile read off them is a fifth wrong at most; coarser on
# both sides of that, because every bucket is a line of the page for every series.
SECONDS = (
    *_decade(-4, every=4)[:2],
    *_decade(-4)[8:],
    *_decade(-3),
    *_decade(-2)[:11],
    *_decade(-1, every=2),
    *_decade(0, every=4),
    *_decade(1, every=4)[:2],
    60.0,
)
# a model is read, verified and warmed up: a tenth of a second to a minute
LOAD_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
SHARES = tuple(tenth / 10 for tenth in range(1, 11))
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


# a rate is that of the last seconds
RATE_WINDOW_SECONDS = 10.0
SLOTS = 40  # parts of the window, which are forgotten one at a time
SLOTS_PER_SECOND = SLOTS / RATE_WINDOW_SECONDS
Clock = Callable[[], float]

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


class QuickHistogram(Histogram):
    """A histogram that finds its bucket by halving, and believes exemplars to be short.

    Three are told of every call: the library looks at every bound, and at every letter of an
    exemplar's names (docs/log.md).
    """

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        self._sum.inc(amount)
        bucket = self._buckets[bisect_left(self._upper_bounds, amount)]
        bucket.inc(1)
        if exemplar:
            bucket.set_exemplar(Exemplar(exemplar, amount, time.time()))


class Rate:
    """Counts events on one thread, and tells any how many there were per second lately."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._counts = [0] * SLOTS
        self._numbers = [-SLOTS] * SLOTS  # of the slots counted, from the clock's zero

    def add(self, count: int) -> None:
        number = int(self._clock() * SLOTS_PER_SECOND)
        place = number % SLOTS
        if self._numbers[place] != number:
            # in this order: who reads in between must not take the old count for the new slot's
            self._counts[place] = 0
            self._numbers[place] = number
        self._counts[place] += count

    def read(self) -> float:
        """Events per second, of the window but for a part of its oldest slot."""
        oldest = int(self._clock() * SLOTS_PER_SECOND) - SLOTS
        slots = zip(self._numbers, self._counts, strict=True)
        return sum(count for number, count in slots if number > oldest) / RATE_WINDOW_SECONDS


class RateGauge(Collector):
    """A gauge of rates by their labels, for a registry."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], clock: Clock = time.monotonic
    ) -> None:
        self._name, self._text, self._labels = name, text, tuple(labels)
        self._clock = clock
        self._lock = threading.Lock()
        self._rates: dict[tuple[str, ...], Rate] = {}

    def labels(self, *values: str) -> Rate:
        with self._lock:
            rate = self._rates.get(values)
            if rate is None:
                rate = self._rates[values] = Rate(self._clock)
            return rate

    def remove_by_labels(self, labels: Mapping[str, str]) -> None:
        """Forget the rates that have these labels."""
        with self._lock:
            for values in [*self._rates]:
                if labels.items() <= dict(zip(self._labels, values, strict=True)).items():
                    del self._rates[values]

    def describe(self) -> Iterable[Metric]:
        return [self._family()]

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            rates = self._rates.copy()
        family = self._family()
        for values, rate in rates.items():
            family.add_metric(values, rate.read())
        return [family]

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(self._name, self._text, labels=self._labels)


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
        made = QuickHistogram(
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
