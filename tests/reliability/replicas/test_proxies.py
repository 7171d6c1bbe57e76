"""Replicas behind a proxy, which has its own words for a connection that broke."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from benchmarks.chaos.nginx import nginx
from benchmarks.chaos.program import Replica
from benchmarks.chaos.replies import Question
from support.haproxy import haproxy
from support.replica_callers import AsyncCallers, Callers, ThreadedCallers
from support.replicas import targets_of
from support.stack import wait_until

Proxy = Callable[[Sequence[str], Path], AbstractContextManager[str]]

PROXIES = pytest.mark.parametrize("proxy", [nginx, haproxy])
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
            wait_until(pair[0].is_at_work)  # a proxy may find one replica later than the other
            callers.wait_for_everyone()
            callers.wait_for_streams()
            pair[0].kill()
            callers.wait_for_everyone()
            assert callers.watch.resumes > 0
            pair[0].start()
            callers.wait_for_everyone()


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
