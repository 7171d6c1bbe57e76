"""One of two replicas is killed while both are in the middle of many replies."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.endurance.replies import Question
from benchmarks.testbed.server import Replica, targets_of
from support.replica_callers import AsyncCallers, Callers, ThreadedCallers, killed

NUM_STREAMS = 64
BOTH_CLIENTS = pytest.mark.parametrize("kind", [ThreadedCallers, AsyncCallers])


@BOTH_CLIENTS
def test_no_stream_notices_that_its_replica_was_killed(
    kind: type[Callers], pair: list[Replica], questions: Sequence[Question]
) -> None:
    """64 streams over two replicas: those that one had begun go on at the other, bit for bit,
    and it is used again when it is back.
    """
    callers = kind(targets_of(pair), questions, count=NUM_STREAMS)
    with callers.asking():
        callers.cut_streams(lambda: killed(pair[0]))


@BOTH_CLIENTS
def test_no_unary_caller_notices_either(
    kind: type[Callers], pair: list[Replica], questions: Sequence[Question]
) -> None:
    callers = kind(targets_of(pair), questions, is_unary=True)
    with callers.asking():
        pair[0].kill()
        callers.wait_for_everyone()
        assert callers.watch.failures.total() > 0
        pair[0].start()
