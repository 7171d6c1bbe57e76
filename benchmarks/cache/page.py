"""Counts of a server's metrics page, by their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.testbed.process import ProgramError
from benchmarks.testbed.server import RunningServer


@dataclass(frozen=True)
class Page:
    """One scrape: name, labels and value of each sample."""

    samples: tuple[tuple[str, Mapping[str, str], float], ...]

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name that have these labels."""
        return sum(
            value
            for found, its, value in self.samples
            if found == f"lstmserve_{name}" and its.items() >= labels.items()
        )


def scrape(server: RunningServer) -> Page:
    if server.metrics_url is None:
        raise ProgramError("this server has no metrics page")
    with urlopen(server.metrics_url, timeout=10) as answer:  # noqa: S310 - a server of ours
        text = answer.read().decode()
    return Page(
        tuple(
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        )
    )
