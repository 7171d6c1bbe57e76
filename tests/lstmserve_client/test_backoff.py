"""The pause before another attempt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lstmserve_client.retries import backoff_seconds, jitter

SECONDS = st.floats(0.001, 100.0)
BOUNDS = st.tuples(SECONDS, SECONDS).map(sorted)
MULTIPLIERS = st.floats(1, 1e300)
FAILURES = st.integers(1, 10**400)
DRAWS = st.floats(0, 1, exclude_max=True)


@given(BOUNDS, MULTIPLIERS, FAILURES)
def test_pauses_grow_with_failures_up_to_the_maximum(
    bounds: list[float], multiplier: float, failures: int
) -> None:
    """However many there are: no power of the multiplier is too large for it."""
    first, longest = bounds
    pauses = [
        backoff_seconds(count, first, longest, multiplier) for count in (failures, failures + 1)
    ]
    assert first <= pauses[0] <= pauses[1] <= longest


@given(SECONDS, DRAWS)
def test_half_of_a_pause_is_certain(seconds: float, draw: float) -> None:
    assert seconds / 2 == jitter(seconds, 0) <= jitter(seconds, draw) <= seconds


def test_pauses_double_unless_told_otherwise() -> None:
    assert [backoff_seconds(failures, 0.5, 3.0) for failures in (1, 2, 3, 4)] == [0.5, 1, 2, 3]
    assert [backoff_seconds(failures, 0.5, 3.0, 1.0) for failures in (1, 2)] == [0.5, 0.5]
