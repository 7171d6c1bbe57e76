"""How long whatever failed is left alone, and when a failure is news."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.failures import MAX_SECONDS, Trouble, backoff_seconds

FIRST_SECONDS = 0.1


def test_the_wait_doubles_with_every_failure_in_a_row() -> None:
    waits = [backoff_seconds(failures, 1.0) for failures in (1, 2, 3, 5, 6, 10_000)]
    assert waits == [1.0, 2.0, 4.0, 16.0, MAX_SECONDS, MAX_SECONDS]


@given(st.integers(1, 10**400))
def test_the_wait_never_shrinks_and_never_passes_its_bound(failures: int) -> None:
    waits = [backoff_seconds(count, FIRST_SECONDS) for count in (failures, failures + 1)]
    assert FIRST_SECONDS <= waits[0] <= waits[1] <= MAX_SECONDS


def test_a_trouble_of_one_look_may_be_no_news() -> None:
    trouble = Trouble(looks_until_news=2)
    assert [trouble.found("cut") for _ in range(4)] == [False, True, False, False]
    assert (trouble.ended(), trouble.ended()) == (True, False)
    assert (trouble.found("cut"), trouble.ended()) == (False, False)
