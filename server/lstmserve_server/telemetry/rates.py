"""How fast something happens, over the last seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

WINDOW_SECONDS = 10.0
SLOTS = 40  # parts of the window, which are forgotten one at a time
SLOTS_PER_SECOND = SLOTS / WINDOW_SECONDS

Clock = Callable[[], float]


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
        return sum(count for number, count in slots if number > oldest) / WINDOW_SECONDS


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
