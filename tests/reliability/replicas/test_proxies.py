"""Replicas behind a proxy, which has its own words for a connection that broke."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from benchmarks.endurance.faults import is_at_work
from benchmarks.endurance.replies import Question
from benchmarks.testbed import proxies
from benchmarks.testbed.name_server import NameServer
from benchmarks.testbed.server import Replica, targets_of
from benchmarks.testbed.waiting import until
from support.replica_callers import AsyncCallers, Callers, ThreadedCallers, killed

pytestmark = pytest.mark.system  # nginx and HAProxy

Proxy = Callable[[Sequence[str], Path], AbstractContextManager[str]]


@contextmanager
def haproxy(servers: Sequence[str], _folder: Path) -> Iterator[str]:
    """Where callers connect. Its servers have one port in common, and an address each."""
    hosts, ports = zip(*(server.rsplit(":", 1) for server in servers), strict=True)
    (port,) = {*ports}
    with NameServer(server=hosts) as names:
        places = {"DNS_ADDRESS": names.address, "LSTMSERVE_HOST": "server", "LSTMSERVE_PORT": port}
        with proxies.haproxy(places) as target:
            yield target


PROXIES = pytest.mark.parametrize("proxy", [proxies.nginx, haproxy])
BOTH_CLIENTS = pytest.mark.parametrize("kind", [ThreadedCallers, AsyncCallers])


@PROXIES
@BOTH_CLIENTS
def test_streams_through_a_proxy_do_not_notice_that_a_replica_was_killed(
    proxy: Proxy,
    kind: type[Callers],
    pair: list[Replica],
    questions: Sequence[Question],
    tmp_path: Path,
) -> None:
    """Callers know one address alone, and what was cut goes on at the replica that is left."""
    with proxy(targets_of(pair), tmp_path) as target:
        callers = kind([target], questions)
        with callers.asking():
            callers.wait_for_everyone()
            until(lambda: is_at_work(pair[0]), "the first replica makes a reply")
            callers.cut_streams(lambda: killed(pair[0]))


@PROXIES
def test_a_rolling_restart_behind_a_proxy_loses_nothing(
    proxy: Proxy, pair: list[Replica], questions: Sequence[Question], tmp_path: Path
) -> None:
    with proxy(targets_of(pair), tmp_path) as target:
        callers = ThreadedCallers([target], questions)
        with callers.asking():
            for replica in pair:
                assert replica.stop() == 0
                callers.wait_for_everyone()
                replica.start()
