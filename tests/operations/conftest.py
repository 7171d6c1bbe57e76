"""What operators have: servers, one of them busy, and a Prometheus that watches them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.dashboards.configuration import address_of, write_configuration
from benchmarks.testbed.ports import find_free_port
from benchmarks.testbed.prometheus import Prometheus, start_prometheus, wait_for_scrape
from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.server import ServerProcess
from support.calls import connect
from support.certificates import Authority, options_of
from support.mixed_load import MixedLoad
from support.observed import Observed, Watched
from support.understanding import make_understanding_store

INTERVAL_SECONDS = 1.0
# a rate needs two pages on which its counter is, and differs
NUM_ROUNDS = 2
BUSY = (
    *("--workers", "2", "--cache-threshold", "1", "--redis-budget-ms", "500"),
    # so little room that entries soon have to go
    *("--cache-bytes", "4096", "--state-cache-bytes", "4096", "--state-stride-tokens", "16"),
)


@pytest.fixture(scope="package")
def observed(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """After calls of every kind, with a Redis and, for the last of them, without."""
    folder, port = tmp_path_factory.mktemp("prometheus"), find_free_port()
    pair = Authority().issue().write(tmp_path_factory.mktemp("certificate"))
    # its replies are the tiny model's own, to labels that are counted
    labelled = make_understanding_store(
        tiny_store / "tiny" / "1", tmp_path_factory.mktemp("store"), answers=None
    )
    with ExitStack() as stack:
        redis = stack.enter_context(RedisProcess())
        busy = stack.enter_context(ServerProcess(labelled, *BUSY, "--redis-url", redis.url))
        idle = stack.enter_context(ServerProcess(tiny_store, *options_of(pair)))
        addresses = [address_of(server.metrics_url) for server in (busy, idle)]
        targets = {"lstmserve": addresses, "prometheus": [f"127.0.0.1:{port}"]}
        write_configuration(folder, targets, INTERVAL_SECONDS)
        prometheus = stack.enter_context(start_prometheus(folder, port))
        channel = stack.enter_context(connect(busy.target, narrow=True))
        keep_busy(MixedLoad(channel), prometheus, addresses[0], redis)
        watched = [Watched(one, wait_for_scrape(prometheus, one)) for one in addresses]
        yield Observed(prometheus, *watched)


def keep_busy(load: MixedLoad, prometheus: Prometheus, address: str, redis: RedisProcess) -> None:
    for _ in range(NUM_ROUNDS):
        load.make_calls()
        wait_for_scrape(prometheus, address)
    redis.kill()
    for _ in range(NUM_ROUNDS):
        load.make_calls()
        wait_for_scrape(prometheus, address)
