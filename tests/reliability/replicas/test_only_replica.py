"""There is one replica, and it is gone for a moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.endurance.replies import Question
from benchmarks.testbed.server import replicas, targets_of
from lstmserve_client import RetryPolicy
from support.replica_callers import AsyncCallers, Callers, ThreadedCallers

# to start takes a server longer than callers are patient, where many others use the machine
PATIENT = RetryPolicy(max_attempts=1_000, budget_retries=100_000)


@pytest.mark.parametrize("kind", [ThreadedCallers, AsyncCallers])
def test_streams_wait_for_the_only_replica_to_come_back(
    kind: type[Callers], tiny_store: Path, questions: Sequence[Question]
) -> None:
    """Killed and started again at the same address, it goes on with what it had begun."""
    with replicas([tiny_store]) as (replica,):

        @contextmanager
        def restarted() -> Iterator[None]:
            replica.kill()
            replica.start()
            yield

        callers = kind(targets_of([replica]), questions, retry=PATIENT)
        with callers.asking():
            callers.cut_streams(restarted)
