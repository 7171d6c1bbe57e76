"""Replicas are told to stop and started again, one after the other, as in every release."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.endurance.replies import Question
from benchmarks.testbed.server import Replica, targets_of
from support.replica_callers import AsyncCallers, Callers, ThreadedCallers


@pytest.mark.parametrize("is_unary", [False, True], ids=["streams", "unary"])
@pytest.mark.parametrize("kind", [ThreadedCallers, AsyncCallers])
def test_a_rolling_restart_fails_and_cuts_nothing(
    kind: type[Callers], is_unary: bool, pair: list[Replica], questions: Sequence[Question]
) -> None:
    """What runs at a replica that was told to stop ends there, and new calls go elsewhere."""
    callers = kind(targets_of(pair), questions, is_unary=is_unary)
    with callers.asking():
        for replica in (
            *pair,
            pair[0],
        ):  # so that in the end each of them is started again, and used
            assert replica.stop() == 0
            callers.wait_for_everyone()
            replica.start()
    assert callers.watch.resumes == 0
