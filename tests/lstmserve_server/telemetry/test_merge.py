"""However work is spread over processes, the page is that of one server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics

from lstmserve_server.config import Address
from lstmserve_server.telemetry.exporter import MetricsExporter
from lstmserve_server.telemetry.merge import APART, GAUGES, TYPES, merge, tell_apart
from lstmserve_server.telemetry.metrics import Metrics
from lstmserve_server.telemetry.workers import WorkerPages

MODEL = ("tiny", "1")
TOTAL, COUNT = "lstmserve_requests_total", "lstmserve_request_seconds_count"
RPC = {"rpc": "Generate", "outcome": "ok"}
OK = {**RPC, "code": "OK", "finish_reason": "", "cache": ""}
VERSION = {"model": "tiny", "version": "1"}
STEPS = ("lstmserve_step_seconds_count", VERSION)


@pytest.fixture(autouse=True)
def _no_time_stamps() -> None:
    disable_created_metrics()  # as the server does


class Page:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)

    def work(self, rpc: str, quarter_seconds: int) -> None:
        requests, engine = self.metrics.requests, self.metrics.engine
        requests.requests.labels(rpc, "OK", "ok", "", "").inc()
        requests.request_seconds.labels(rpc, "ok").observe(quarter_seconds / 4)  # sums are exact
        engine.running_sequences.labels(*MODEL).inc()
        engine.step_seconds.labels(*MODEL).observe(quarter_seconds / 4)
        self.metrics.process.resident_memory_bytes.inc(quarter_seconds)

    def load(self) -> None:
        models = self.metrics.models
        models.bytes.labels(*MODEL).set(17)
        models.info.labels(*MODEL).info({"digest": "abc", "family": "lstm"})
        models.traffic_share.labels(*MODEL).set(0.25)
        self.metrics.process.start_time_seconds.set(1000)


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
    gauges = {family.name for family in families if family.type not in TYPES}
    assert gauges == GAUGES.keys() | APART
    assert not GAUGES.keys() & APART


def test_the_server_started_when_the_first_of_its_processes_did() -> None:
    first, second = Page(), Page()
    for page, started_at in ((first, 1000), (second, 2000)):
        page.metrics.process.start_time_seconds.set(started_at)
    merged = merge(chain(first.registry.collect(), second.registry.collect()))
    assert "lstmserve_start_time_seconds 1000.0" in lines(Merged(merged))


def test_what_cannot_be_merged_is_told_of_each_worker() -> None:
    pages = [Page(), Page()]
    for page, ratio in zip(pages, (0.1, 0.3), strict=True):
        page.metrics.quality.empty_ratio.labels(*MODEL).set(ratio)
    apart = (tell_apart(page.registry.collect(), number) for number, page in enumerate(pages))
    found = lines(Merged(merge(chain.from_iterable(apart))))
    for worker, ratio in ((0, 0.1), (1, 0.3)):
        labels = f'model="tiny",version="1",worker="{worker}"'
        assert f"lstmserve_quality_empty_ratio{{{labels}}} {ratio}" in found


def test_of_the_calls_that_stand_for_a_bucket_the_newest_is_shown() -> None:
    pages = [Page() for _ in range(3)]
    histograms = [page.metrics.requests.request_seconds.labels("Generate", "ok") for page in pages]
    for histogram, request_id in zip(histograms, ("old", "new"), strict=False):
        histogram.observe(0.25, {"request_id": request_id})
    histograms[2].observe(0.25)
    merged = Merged(merge(chain.from_iterable(page.registry.collect() for page in pages)))
    text = openmetrics.generate_latest(merged).decode()  # type: ignore[no-untyped-call]
    (bucket,) = [line for line in text.splitlines() if "request_id" in line]
    assert '{le="0.316",' in bucket
    assert ' 3.0 # {request_id="new"} 0.25 ' in bucket
    assert "request_id" not in "".join(lines(merged))  # the classic format knows of none


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
    one = pages.add(serve(first, stack)[1], 0)
    pages.add(serve(second, stack)[1], 1)
    for page in (first, second):
        page.work("Generate", 1)
    assert (read(TOTAL, OK), read("lstmserve_workers")) == (2, 2)
    running = ("lstmserve_running_sequences", VERSION)
    assert read(*running) == 2

    pages.retire(one)
    pages.count_restart()
    assert (read(TOTAL, OK), read(COUNT, RPC), read(*running)) == (2, 2, 1)
    assert (read("lstmserve_workers"), read("lstmserve_worker_restarts_total")) == (1, 1)

    third = Page()
    three = pages.add(serve(third, stack)[1], 0)
    third.work("Generate", 1)
    assert read(TOTAL, OK) == 3
    pages.retire(three)
    assert read(TOTAL, OK) == 3


def test_a_worker_that_does_not_answer_keeps_its_numbers() -> None:
    pages, page = WorkerPages(), Page()
    page.work("Generate", 1)
    with ExitStack() as stack:
        pages.add(serve(page, stack)[1], 0)
        assert pages.registry.get_sample_value(TOTAL, OK) == 1
    assert pages.registry.get_sample_value(TOTAL, OK) == 1


def test_a_version_that_one_worker_has_forgotten_counts_until_all_have(stack: ExitStack) -> None:
    pages, first, second = WorkerPages(), Page(), Page()
    read = pages.registry.get_sample_value
    for number, page in enumerate((first, second)):
        page.load()
        page.work("Generate", 1)
        pages.add(serve(page, stack)[1], number)
    assert read(*STEPS) == 2

    first.metrics.forget(*MODEL)
    second.work("Generate", 1)
    assert read(*STEPS) == 3  # had it gone back to 2, all of these would count once more
    second.metrics.forget(*MODEL)
    assert read(*STEPS) is None
    assert read(TOTAL, OK) == 3

    first.load()
    first.work("Generate", 1)
    assert read(*STEPS) == 1


def test_what_an_ended_worker_knew_of_a_version_goes_with_the_version(stack: ExitStack) -> None:
    pages, ended, living = WorkerPages(), Page(), Page()
    read = pages.registry.get_sample_value
    places = []
    for number, page in enumerate((ended, living)):
        page.load()
        page.work("Generate", 1)
        places.append(pages.add(serve(page, stack)[1], number))
    assert read(*STEPS) == 2
    pages.retire(places[0])
    assert read(*STEPS) == 2
    living.metrics.forget(*MODEL)
    assert read(*STEPS) is None
    pages.retire(places[1])
    assert (read(*STEPS), read(TOTAL, OK)) == (None, 2)
