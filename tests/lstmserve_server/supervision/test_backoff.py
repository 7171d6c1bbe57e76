"""How patient a supervisor is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.supervision.backoff import (
    FIRST_SECONDS,
    MAX_SECONDS,
    STEADY_SECONDS,
    backoff_seconds,
    count_failures,
)


def test_the_wait_doubles_with_every_failure_in_a_row() -> None:
    waits = [backoff_seconds(failures) for failures in (1, 2, 3, 4)]
    assert waits == [FIRST_SECONDS * factor for factor in (1, 2, 4, 8)]


@given(st.integers(1, 10**9))
def test_the_wait_never_shrinks_and_never_passes_its_bound(failures: int) -> None:
    assert FIRST_SECONDS <= backoff_seconds(failures) <= backoff_seconds(failures + 1)
    assert backoff_seconds(failures + 1) <= MAX_SECONDS


def test_a_worker_that_served_for_long_begins_the_count_anew() -> None:
    assert count_failures(7, lived_seconds=STEADY_SECONDS / 2) == 8
    assert count_failures(7, lived_seconds=STEADY_SECONDS) == 1
