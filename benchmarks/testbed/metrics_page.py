"""The metrics of a running server, read as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.testbed.direct import DIRECT

ANSWER_SECONDS = 20.0  # of a scrape


@dataclass(frozen=True)
class Sample:
    """One line of the page; the name is without the project's prefix."""

    name: str
    labels: Mapping[str, str]
    value: float


class MetricsPage:
    """One scrape."""

    def __init__(self, url: str) -> None:
        with DIRECT.open(url, timeout=ANSWER_SECONDS) as answer:
            text = answer.read().decode()
        families = [*text_string_to_metric_families(text)]
        self.types = {family.name: family.type for family in families}
        self.samples = [
            Sample(sample.name.removeprefix("lstmserve_"), sample.labels, sample.value)
            for family in families
            for sample in family.samples
        ]

    def values(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the samples of one name, by these of their labels; summed over the others."""
        found: dict[tuple[str, ...], float] = {}
        for sample in self.samples:
            if sample.name == name:
                key = tuple(sample.labels[label] for label in labels)
                found[key] = found.get(key, 0) + sample.value
        return found

    def counted(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the values above 0: some counters stand there before anything was counted."""
        return {key: value for key, value in self.values(name, *labels).items() if value}

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of this name that have these labels; 0 without any."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and sample.labels.items() >= labels.items()
        )
