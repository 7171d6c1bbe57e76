"""What counting costs: the same load on a server that counts and on one that does not."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from statistics import median

from benchmarks.cost import silent_server
from benchmarks.load.findings import Finding, Target
from benchmarks.load.measure import Measurement, Plan, measure, start_generators
from benchmarks.load.usage import MeasureError
from benchmarks.testbed.direct import DIRECT
from benchmarks.testbed.server import (
    AT_ONCE,
    FREE_PORTS,
    RunningServer,
    start_process,
    start_server,
)

# log lines are no part of counting, and the silent server writes none
NO_LINES = ("--log-level", "WARNING")
SCRAPE_SECONDS = 5.0
ONE_PERCENT = Target(1.0)


@dataclass(frozen=True)
class Round:
    """Both servers under the same load, one right after the other."""

    counting: Measurement
    silent: Measurement

    @property
    def lost_share(self) -> float:
        """By how much of itself the rate of tokens is lower with metrics."""
        return 1 - _rate(self.counting) / _rate(self.silent)

    @property
    def cpu_share(self) -> float:
        """By how much of itself the CPU time of a token is higher with metrics."""
        return _token_microseconds(self.counting) / _token_microseconds(self.silent) - 1


def run_rounds(plan: Plan, rounds: int, arguments: Sequence[str]) -> Iterator[Round]:
    """Start both servers and let them take turns, each as often first as second."""
    options = (*NO_LINES, *arguments)
    silent = [sys.executable, str(silent_server.__file__), *FREE_PORTS, *AT_ONCE, *options]
    with ExitStack() as stack:
        counting_server = stack.enter_context(start_server(options))
        silent_one = replace(stack.enter_context(start_process(silent)), metrics_url=None)
        pool = stack.enter_context(start_generators(plan.generator))
        for number in range(rounds):
            if number % 2:
                without = _measure(plan, silent_one, pool)
                yield Round(_measure_scraped(plan, counting_server, pool), without)
            else:
                counted = _measure_scraped(plan, counting_server, pool)
                yield Round(counted, _measure(plan, silent_one, pool))


def compare(rounds: Sequence[Round]) -> list[Finding]:
    """Medians; a share is the median of those of the rounds, whose halves share their moment."""
    counting = [each.counting for each in rounds]
    silent = [each.silent for each in rounds]
    return [
        Finding("tokens/s, counted", median(map(_rate, counting))),
        Finding("tokens/s, not counted", median(map(_rate, silent))),
        Finding("fewer", 100 * median(each.lost_share for each in rounds), "%", ONE_PERCENT),
        Finding("CPU per token, counted", median(map(_token_microseconds, counting)), "µs"),
        Finding("CPU per token, not counted", median(map(_token_microseconds, silent)), "µs"),
        Finding("more", 100 * median(each.cpu_share for each in rounds), "%", ONE_PERCENT),
    ]


def _token_microseconds(measurement: Measurement) -> float:
    """CPU time of the server's processes for each token that arrived."""
    per_second = (measurement.server.cpu_seconds or 0.0) / measurement.figures.seconds
    return 1e6 * per_second / _rate(measurement)


def _rate(measurement: Measurement) -> float:
    return measurement.figures.tokens_per_second


def _measure(plan: Plan, server: RunningServer, pool: Executor) -> Measurement:
    measured = measure(plan, server, pool)
    if not measured.figures.tokens_per_second:
        raise MeasureError(f"no token came within {plan.seconds:g} s: give --seconds more")
    return measured


def _measure_scraped(plan: Plan, server: RunningServer, pool: Executor) -> Measurement:
    # measuring reads the memory off a page that it knows of, far more often than Prometheus does
    unknown = replace(server, metrics_url=None)
    with _scraping(server.metrics_url or ""):
        return _measure(plan, unknown, pool)


@contextmanager
def _scraping(url: str) -> Iterator[None]:
    """Read the page every so often, for as long as the block takes."""
    done = threading.Event()

    def scrape() -> None:
        while not done.wait(SCRAPE_SECONDS):
            with DIRECT.open(url) as answer:
                answer.read()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
