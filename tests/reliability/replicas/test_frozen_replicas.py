"""One of two replicas answers nothing for a while, and its connections stay open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil
import pytest

from benchmarks.endurance.replies import Question, bits_of
from benchmarks.endurance.watched import Watch, watched_client
from benchmarks.testbed.server import Replica, targets_of
from lstmserve_client import Client, ClientOptions, HedgePolicy
from support.metrics_page import MetricsPage, scrape_until
from support.replica_callers import AsyncCallers, Callers, ThreadedCallers

# the shortest keepalive that servers put up with
KEEPALIVE: ClientOptions = {"keepalive_seconds": 4.0, "keepalive_timeout_seconds": 1.0}


def is_idle(page: MetricsPage) -> bool:
    names = ("running_sequences", "waiting_sequences", "parked_sequences")
    return not any(page.total(name) for name in names)


@contextmanager
def frozen(replica: Replica) -> Iterator[None]:
    """It answers nothing in the whole block."""
    replica.freeze()
    try:
        yield
        assert psutil.Process(replica.process.pid).status() == psutil.STATUS_STOPPED
    finally:
        replica.thaw()


def check_all(client: Client, questions: Sequence[Question]) -> None:
    for each in questions:
        assert bits_of(client.reply(each.prompt, **each.options)) == each.expected


@pytest.mark.parametrize("kind", [ThreadedCallers, AsyncCallers])
def test_streams_leave_a_frozen_replica_and_come_back(
    kind: type[Callers], pair: list[Replica], questions: Sequence[Question]
) -> None:
    """The keepalive finds it, all go on elsewhere while it is frozen; thawed, it is used again,
    and keeps nothing of those who left.
    """
    victim = pair[0]
    callers = kind(targets_of(pair), questions, **KEEPALIVE)
    with callers.asking():
        callers.cut_streams(lambda: frozen(victim))
        before = MetricsPage(victim.metrics_url).total("requests_total")
        scrape_until(
            victim.metrics_url,
            lambda page: page.total("requests_total") > before + len(questions),
        )
    for replica in pair:
        scrape_until(replica.metrics_url, is_idle)


def test_a_hedged_reply_does_not_wait_for_a_frozen_replica(
    pair: list[Replica], questions: Sequence[Question]
) -> None:
    """No keepalive runs out and no attempt fails: every reply that the frozen one was asked for
    first comes from the other.
    """
    questions = questions[:6]  # each waits as long as others took, which is long beside others
    hedge, watch = HedgePolicy(min_calls=len(questions)), Watch()
    patient = ClientOptions(hedge=hedge, keepalive_seconds=600, keepalive_timeout_seconds=600)
    with watched_client(targets_of(pair), watch, **patient) as client:
        check_all(client, questions)
        with frozen(pair[0]):
            check_all(client, questions)
        assert watch.failures.total() == 0
