"""Replicas behind one name, as in Kubernetes: its addresses take turns."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.endurance.faults import is_at_work
from benchmarks.endurance.replies import Question
from benchmarks.testbed.name_server import NameServer
from benchmarks.testbed.server import Replica
from benchmarks.testbed.waiting import until
from lstmserve_client import Client
from support.metrics_page import MetricsPage
from support.replica_callers import AsyncCallers, Callers, ThreadedCallers, killed

NAME = "replicas.test"
NUM_CALLS = 500  # the first of them go to whoever is connected first


@pytest.mark.parametrize("kind", [ThreadedCallers, AsyncCallers])
def test_all_addresses_are_asked_and_no_stream_notices_that_one_is_gone(
    kind: type[Callers], pair: list[Replica], questions: Sequence[Question]
) -> None:
    """Both answer while both are there; what the one that is killed had begun goes on at the
    other, bit for bit.
    """
    hosts, ports = zip(*(server.address.split(":") for server in pair), strict=True)
    with NameServer(**{NAME: hosts}) as names:
        callers = kind([f"dns://{names.address}/{NAME}:{ports[0]}"], questions)
        with callers.asking():
            callers.wait_for_streams()
            callers.wait_for_everyone()
            assert all(have_answered("Generate", pair))
            until(lambda: is_at_work(pair[0]), "the first replica makes a reply")
            callers.cut_streams(lambda: killed(pair[0]))


def have_answered(rpc: str, servers: Sequence[Replica]) -> list[bool]:
    pages = [MetricsPage(server.metrics_url) for server in servers]
    return [(rpc,) in page.counted("requests_total", "rpc") for page in pages]


def test_whoever_must_not_ask_for_health_asks_all_addresses_too(pair: list[Replica]) -> None:
    """Administration looks at no health, and is dealt out like all else."""
    hosts, ports = zip(*(server.address.split(":") for server in pair), strict=True)
    target = f"ipv4:{','.join(f'{host}:{ports[0]}' for host in hosts)}"
    with Client(target) as client:
        for _ in range(NUM_CALLS):
            client.log_level()
    assert all(have_answered("GetLogLevel", pair))
