"""The pause before another attempt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lstmserve_client import RetryPolicy
from lstmserve_client.backoff import backoff_seconds

SECONDS = st.floats(0.001, 100.0)
FAILURES = st.integers(1, 10_000)
DRAWS = st.floats(0, 1, exclude_max=True)


@st.composite
def policies(draw: st.DrawFn) -> RetryPolicy:
    first, last = sorted((draw(SECONDS), draw(SECONDS)))
    multiplier = draw(st.floats(1, 10))
    return RetryPolicy(
        initial_backoff_seconds=first, max_backoff_seconds=last, multiplier=multiplier
    )


@given(policies(), FAILURES, DRAWS)
def test_a_pause_is_never_too_long_and_half_of_it_is_certain(
    policy: RetryPolicy, failures: int, draw: float
) -> None:
    pause = backoff_seconds(failures, policy, draw)
    assert policy.initial_backoff_seconds / 2 <= pause <= policy.max_backoff_seconds
    assert pause >= backoff_seconds(failures, policy, 0)


@given(policies(), FAILURES)
def test_pauses_grow_with_failures(policy: RetryPolicy, failures: int) -> None:
    assert backoff_seconds(failures, policy, 0.5) <= backoff_seconds(failures + 1, policy, 0.5)


def test_pauses_double_by_default() -> None:
    policy = RetryPolicy()
    longest = [backoff_seconds(failures, policy, 1) for failures in range(1, 9)]
    assert longest == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert [backoff_seconds(failures, policy, 0) for failures in (1, 2)] == [0.025, 0.05]
