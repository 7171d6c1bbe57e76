"""However work is spread over processes, the page is that of one server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import Metric

from lstmserve_server.config import Address
from lstmserve_server.telemetry.exporter import MetricsExporter
from lstmserve_server.telemetry.merge import GAUGES, TYPES, merge
from lstmserve_server.telemetry.metrics import Metrics
from lstmserve_server.telemetry.workers import WorkerPages

MODEL = ("tiny", "1")
TOTAL, COUNT = "lstmserve_requests_total", "lstmserve_request_seconds_count"
OK = {"rpc": "Generate", "code": "OK", "finish_reason": "", "cache": ""}


@pytest.fixture(autouse=True)
def _no_time_stamps() -> None:
    disable_created_metrics()  # as the server does


class Page:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)

    def work(self, rpc: str, quarter_seconds: int) -> None:
        self.metrics.requests.labels(rpc, "OK", "", "").inc()
        self.metrics.request_seconds.labels(rpc).observe(quarter_seconds / 4)  # sums are exact
        self.metrics.running_sequences.labels(*MODEL).inc()
        self.metrics.resident_memory_bytes.inc(quarter_seconds)

    def load(self) -> None:
        self.metrics.model_bytes.labels(*MODEL).set(17)
        self.metrics.model_info.labels(*MODEL).info({"digest": "abc", "family": "lstm"})


class Merged:
    """A registry's collector of families that are there already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = [*families]

    def collect(self) -> Iterable[Metric]:
        return self._families


def lines(registry: CollectorRegistry | Merged) -> set[str]:
    return set(generate_latest(registry).decode().splitlines())


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["Generate", "GetModel"]), st.integers(0, 99))
    )
)
def test_merged_pages_are_the_page_of_one_process_that_did_all_the_work(
    work: list[tuple[int, str, int]],
) -> None:
    workers, alone = [Page() for _ in range(3)], Page()
    for page in (*workers, alone):
        page.load()
    for worker, rpc, quarter_seconds in work:
        workers[worker].work(rpc, quarter_seconds)
        alone.work(rpc, quarter_seconds)
    merged = merge(family for page in workers for family in page.registry.collect())
    assert lines(Merged(merged)) == lines(alone.registry)


def test_every_metric_of_the_server_says_how_it_is_merged() -> None:
    families = [*Page().registry.collect(), *WorkerPages().registry.collect()]
    unknown = {family.name for family in families if family.type not in TYPES} - GAUGES.keys()
    assert not unknown


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def serve(page: Page, stack: ExitStack) -> tuple[MetricsExporter, str]:
    exporter = stack.enter_context(closing(MetricsExporter(Address("127.0.0.1", 0), page.registry)))
    return exporter, f"http://{exporter.address}/metrics"


def test_what_an_ended_worker_counted_stays_and_what_it_held_goes(stack: ExitStack) -> None:
    pages, first, second = WorkerPages(), Page(), Page()
    read = pages.registry.get_sample_value
    one = pages.add(serve(first, stack)[1])
    pages.add(serve(second, stack)[1])
    for page in (first, second):
        page.work("Generate", 1)
    assert (read(TOTAL, OK), read("lstmserve_workers")) == (2, 2)
    running = ("lstmserve_running_sequences", dict(zip(("model", "version"), MODEL, strict=True)))
    assert read(*running) == 2

    pages.retire(one)
    pages.count_restart()
    assert (read(TOTAL, OK), read(COUNT, {"rpc": "Generate"}), read(*running)) == (2, 2, 1)
    assert (read("lstmserve_workers"), read("lstmserve_worker_restarts_total")) == (1, 1)

    third = Page()
    three = pages.add(serve(third, stack)[1])
    third.work("Generate", 1)
    assert read(TOTAL, OK) == 3
    pages.retire(three)
    assert read(TOTAL, OK) == 3


def test_a_worker_that_does_not_answer_keeps_its_numbers() -> None:
    pages, page = WorkerPages(), Page()
    page.work("Generate", 1)
    with ExitStack() as stack:
        pages.add(serve(page, stack)[1])
        assert pages.registry.get_sample_value(TOTAL, OK) == 1
    assert pages.registry.get_sample_value(TOTAL, OK) == 1
