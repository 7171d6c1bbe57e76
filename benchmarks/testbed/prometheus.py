"""A real Prometheus on a free port, and its HTTP API."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode

from benchmarks.testbed.direct import DIRECT
from benchmarks.testbed.ports import HOST
from benchmarks.testbed.process import Program, ProgramError
from benchmarks.testbed.waiting import until

ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class Series:
    """Values of one series over Unix time."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        return self.points[-1][1]


@dataclass(frozen=True)
class Alert:
    """An alert that is ``pending`` or ``firing``."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: str

    @property
    def name(self) -> str:
        return self.labels["alertname"]


class Prometheus:
    """Asks a running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    def is_ready(self) -> bool:
        try:
            with DIRECT.open(f"{self.url}/-/ready", timeout=ANSWER_SECONDS):
                return True
        except URLError:  # also while it says 503
            return False

    def query(self, expr: str, at: float | None = None) -> list[Series]:
        """What an expression is now, or was then: vectors and scalars."""
        found = self._get("query", query=expr, **({} if at is None else {"time": at}))
        if found["resultType"] == "scalar":
            return [Series({}, (_point(found["result"]),))]
        return [Series(one["metric"], (_point(one["value"]),)) for one in found["result"]]

    def query_range(self, expr: str, start: float, end: float, step: float) -> list[Series]:
        """The same at every step of this time."""
        found = self._get("query_range", query=expr, start=start, end=end, step=step)
        return [Series(one["metric"], tuple(map(_point, one["values"]))) for one in found["result"]]

    def find_labels(self) -> Mapping[str, Mapping[str, set[str]]]:
        """By metric and label: the values that any of its series has ever had."""
        found: dict[str, dict[str, set[str]]] = {}
        for labels in self._get("series", **{"match[]": '{__name__!=""}'}):
            of_metric = found.setdefault(labels["__name__"], {})
            for label, value in labels.items():
                of_metric.setdefault(label, set()).add(value)
        return found

    def alerts(self) -> list[Alert]:
        return [
            Alert(one["labels"], one["annotations"], one["state"])
            for one in self._get("alerts")["alerts"]
        ]

    def _get(self, what: str, **parameters: object) -> Any:  # noqa: ANN401 - JSON
        address = f"{self.url}/api/v1/{what}?{urlencode(parameters)}"
        with DIRECT.open(address, timeout=ANSWER_SECONDS) as answer:
            return json.load(answer)["data"]


class PrometheusProcess(Program):
    """Reads the ``prometheus.yml`` of a folder; what it has is thrown away with it."""

    def __init__(self, folder: Path, port: int) -> None:
        program = shutil.which("prometheus")
        if program is None:
            raise ProgramError(
                "no prometheus on the PATH: install it (Debian: apt-get install prometheus)"
            )
        super().__init__(
            [
                *(program, f"--config.file={folder / 'prometheus.yml'}"),
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={HOST}:{port}",
            ]
        )
        self.asked = Prometheus(f"http://{HOST}:{port}")

    def is_ready(self) -> bool:
        return self.asked.is_ready()


@contextmanager
def start_prometheus(folder: Path, port: int) -> Iterator[Prometheus]:
    """Start it, end it afterwards; raises ProgramError."""
    with PrometheusProcess(folder, port) as running:
        yield running.asked


def _point(pair: tuple[float, str]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])


def wait_for_scrape(prometheus: Prometheus, instance: str) -> float:
    """Until it has read a page that a server wrote after now; when it did."""
    now = time.time()
    until(
        lambda: find_scrape(prometheus, instance) > now,
        lambda: f"{instance} was scraped after {now}",
    )
    return find_scrape(prometheus, instance)


def find_scrape(prometheus: Prometheus, instance: str) -> float:
    """The time of the latest scrape if it brought a page, else 0."""
    # of a bare selector: of anything else it is the time of asking
    asked = f'timestamp(lstmserve_start_time_seconds{{instance="{instance}"}})'
    return max((series.last for series in prometheus.query(asked)), default=0.0)
