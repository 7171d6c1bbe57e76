"""What else tests read of a server's metrics."""

from __future__ import annotations

from collections.abc import Callable
from urllib.request import Request, urlopen

from prometheus_client.openmetrics import parser as openmetrics

from benchmarks.testbed.metrics_page import MetricsPage
from benchmarks.testbed.waiting import until


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

    until(look, lambda: f"a metrics page, the last of which counted {_counted(seen[0])}")
    return seen[0]


def _counted(page: MetricsPage) -> list[str]:
    """What is not zero, in short: a whole page has hundreds of lines."""
    return [
        f"{sample.name}{sample.labels} {sample.value:g}"
        for sample in page.samples
        if sample.value and not sample.name.endswith(("_bucket", "_sum"))
    ]
