"""The rules that ship, on a real Prometheus that watches a real server which comes to harm."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.dashboards.configuration import address_of, write_configuration
from benchmarks.testbed.ports import find_free_port
from benchmarks.testbed.prometheus import Prometheus, start_prometheus, wait_for_scrape
from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.server import ServerProcess
from benchmarks.testbed.waiting import until
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support.calls import connect, read_all
from support.engine_processes import engines_of
from support.wire_requests import make_request

pytestmark = pytest.mark.system  # Prometheus

INTERVAL_SECONDS = 1.0
# for so long an alert's reason must last, instead of minutes
WAIT_FOR = "1s"


@contextmanager
def watch(folder: Path, server: ServerProcess) -> Iterator[Prometheus]:
    """A Prometheus that has seen the server well, and has nothing to say about it."""
    address, port = address_of(server.metrics_url), find_free_port()
    targets = {"lstmserve": [address], "prometheus": [f"127.0.0.1:{port}"]}
    write_configuration(folder, targets, INTERVAL_SECONDS, wait_for=WAIT_FOR)
    with start_prometheus(folder, port) as prometheus:
        wait_for_scrape(prometheus, address)
        until(lambda: not firing(prometheus), lambda: firing(prometheus))
        yield prometheus


def firing(prometheus: Prometheus) -> dict[str, str]:
    """Alerts that fire, by name, with their severity."""
    alerts = (alert for alert in prometheus.alerts() if alert.state == "firing")
    return {alert.name: alert.labels["severity"] for alert in alerts}


def wait_for_alert(prometheus: Prometheus, name: str) -> dict[str, str]:
    """All alerts that fire, once this one does."""
    until(lambda: name in firing(prometheus), lambda: f"{name}: {prometheus.alerts()}")
    return firing(prometheus)


def test_a_killed_redis_wakes_nobody_and_a_killed_server_does(
    tiny_store: Path, tmp_path: Path
) -> None:
    with (
        RedisProcess() as redis,
        ServerProcess(tiny_store, "--redis-url", redis.url) as server,
        watch(tmp_path, server) as prometheus,
    ):
        redis.kill()
        ask_something(server)
        assert "page" not in wait_for_alert(prometheus, "LstmserveCacheBreakerOpen").values()
        server.send_signal(signal.SIGKILL)
        alerts = wait_for_alert(prometheus, "LstmserveDown")
        assert [*alerts.values()].count("page") == 1, alerts


def test_a_killed_engine_is_a_ticket_and_wakes_nobody(tiny_store: Path, tmp_path: Path) -> None:
    with ServerProcess(tiny_store) as server, watch(tmp_path, server) as prometheus:
        (engine,) = engines_of(server)
        os.kill(engine.pid, signal.SIGKILL)
        ask_something(server)
        assert wait_for_alert(prometheus, "LstmserveEngineRestarts") == {
            "LstmserveEngineRestarts": "ticket"
        }


def ask_something(server: ServerProcess) -> None:
    """So that the server notices what is wrong; its callers do not."""
    with connect(server.target) as channel:
        stub = GenerationServiceStub(channel)
        for seed in range(20):
            _, error = read_all(stub.Generate(make_request(seed=seed)))
            assert error is None
