"""The metrics of a running server, read as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.request import Request, urlopen

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.testbed.waiting import until

ANSWER_SECONDS = 20.0  # of a scrape


@dataclass(frozen=True)
class Sample:
    """One line of the page."""

    name: str
    labels: Mapping[str, str]
    value: float


class MetricsPage:
    """One scrape."""

    def __init__(self, url: str) -> None:
        with urlopen(url, timeout=ANSWER_SECONDS) as answer:
            text = answer.read().decode()
        families = [*text_string_to_metric_families(text)]
        self.types = {family.name: family.type for family in families}
        self.samples = [
            Sample(sample.name.removeprefix("lstmserve_"), sample.labels, sample.value)
            for family in families
            for sample in family.samples
        ]

    def values(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """The samples of one name, by these of their labels; summed over the others."""
        found: dict[tuple[str, ...], float] = {}
        for sample in self.samples:
            if sample.name == name:
                key = tuple(sample.labels[label] for label in labels)
                found[key] = found.get(key, 0) + sample.value
        return found

    def counted(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """The values above 0: some counters stand there before anything was counted."""
        return {key: value for key, value in self.values(name, *labels).items() if value}

    def total(self, name: str) -> float:
        return sum(sample.value for sample in self.samples if sample.name == name)


def read_exemplars(url: str) -> dict[str, set[str]]:
    """The request ids in the buckets of each histogram, as who asks for OpenMetrics gets them."""
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    with urlopen(Request(url, headers=accept)) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        text = answer.read().decode()
    found: dict[str, set[str]] = {}
    for family in openmetrics.text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            if sample.exemplar is not None:
                found.setdefault(family.name, set()).add(sample.exemplar.labels["request_id"])
    return found


def scrape_until(url: str, condition: Callable[[MetricsPage], bool]) -> MetricsPage:
    """Scrape until something is so: a client may know of an RPC's end before it is counted."""
    seen: list[MetricsPage] = []

    def look() -> bool:
        seen[:] = [MetricsPage(url)]
        return condition(seen[0])

    until(look, lambda: f"a metrics page, the last of which was {seen[0].samples}")
    return seen[0]
