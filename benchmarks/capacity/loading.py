"""Real replicas on this machine under an open loop."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from os import getloadavg
from pathlib import Path
from time import monotonic

import numpy as np
import psutil

from benchmarks.cache.stage import VERSION
from benchmarks.capacity.simulation import Timing
from benchmarks.capacity.twin import Figures, Loaded, make_workloads
from benchmarks.load.dialect import LstmserveDialect
from benchmarks.load.driver import Open
from benchmarks.load.measure import Generator, Measurement, Plan, measure, start_generators
from benchmarks.load.usage import measure_usage
from benchmarks.load.workload import Workload
from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.server import RunningServer, start_server
from lstmserve_client import Client

# one reply to a question, kept at once: a run of seconds has something to find
ARGUMENTS = ("--cache-variants", "1", "--cache-threshold", "1")


@contextmanager
def open_replicas(number: int) -> Iterator[tuple[list[RunningServer], RedisProcess]]:
    with ExitStack() as stack:
        redis = stack.enter_context(RedisProcess())
        given = (*VERSION, *ARGUMENTS, "--redis-url", redis.url)
        yield [stack.enter_context(start_server(given)) for _ in range(number)], redis


def load_all(
    replicas: Sequence[int], rates: Sequence[float], timing: Timing, repeats: int
) -> list[Loaded]:
    """Return all loads; nothing else is done meanwhile."""
    return [one for number in replicas for one in load_replicas(number, rates, timing, repeats)]


def read_loads(path: Path) -> list[Loaded]:
    """Return the loads of an earlier validation."""
    runs = json.loads(path.read_text("utf-8"))["runs"]
    return [Loaded.from_json(run["loaded"]) for run in runs]


def load_replicas(
    replicas: int, rates: Sequence[float], timing: Timing, repeats: int
) -> Iterator[Loaded]:
    """Yield each load as often as told, on so many replicas at once."""
    with (
        open_replicas(replicas) as (servers, redis),
        start_generators(Generator(processes=replicas)) as pool,
    ):
        for repeat in range(repeats):
            for is_kept in (False, True):
                for rate in rates:
                    _purge(servers, redis)
                    yield _load_once(servers, pool, rate, timing, repeat, is_kept=is_kept)


def _purge(servers: Sequence[RunningServer], redis: RedisProcess) -> None:
    redis.client.flushall()
    for server in servers:
        with Client(server.target) as client:
            client.purge_cache()


def _load_once(
    servers: Sequence[RunningServer],
    pool: Executor,
    rate: float,
    timing: Timing,
    seed: int,
    *,
    is_kept: bool,
) -> Loaded:
    workloads = make_workloads(len(servers), seed, is_kept=is_kept)
    began, cpu = monotonic(), _look(servers)
    found = _load(servers, pool, rate, workloads, timing)
    elapsed, spent = monotonic() - began, [a - b for a, b in zip(_look(servers), cpu, strict=True)]
    sent = sum(one.generator_cpu_seconds for one in found) / timing.seconds
    ours, cores = spent[1] / elapsed + sent, psutil.cpu_count() or 1
    return Loaded(
        replicas=len(servers),
        is_kept=is_kept,
        rate=rate,
        seed=seed,
        warm_up_seconds=timing.warm_up,
        seconds=timing.seconds,
        cores=cores,
        utilization=ours / cores,
        others=max(0.0, spent[0] / elapsed - ours),
        load_average=getloadavg()[0],
        errors=sum(sum(one.figures.errors.values()) for one in found),
        measured=_gather(found),
    )


def _look(servers: Sequence[RunningServer]) -> tuple[float, float]:
    """Return the processor seconds of the whole machine, and of the servers."""
    times = psutil.cpu_times()
    busy = sum(times) - times.idle - times.iowait
    return busy, sum(measure_usage(server).cpu_seconds or 0.0 for server in servers)


def _load(
    servers: Sequence[RunningServer],
    pool: Executor,
    rate: float,
    workloads: Sequence[Workload],
    timing: Timing,
) -> list[Measurement]:
    """Load all at once: a balancer that draws makes a Poisson stream for each.

    Nobody reads metrics meanwhile: each page would take some milliseconds.
    """
    unread = [replace(server, metrics_url=None) for server in servers]
    plans = [
        Plan(
            LstmserveDialect(),
            Generator(),
            workload,
            Open(rate / len(servers)),
            timing.warm_up,
            timing.seconds,
        )
        for workload in workloads
    ]
    with ThreadPoolExecutor(len(servers)) as threads:
        return [*threads.map(measure, plans, unread, [pool] * len(servers))]


def _gather(found: Sequence[Measurement]) -> Figures:
    """Rates add up; replicas are alike, so percentiles are their mean."""
    all_figures = [one.figures for one in found]
    rates = [(each.requests_per_second, each.tokens_per_second) for each in all_figures]
    latencies = [
        (each.first_token_ms.p50, each.first_token_ms.p99, each.reply_ms.p50, each.reply_ms.p99)
        for each in all_figures
    ]
    return Figures(*np.sum(rates, axis=0).tolist(), *np.mean(latencies, axis=0).tolist())
