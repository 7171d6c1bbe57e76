"""Policies that make no sense are refused by the name of their field."""

from __future__ import annotations

import pytest

from lstmserve_client import HedgePolicy, RetryPolicy


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_attempts", 0),
        ("initial_backoff_seconds", 0.0),
        ("initial_backoff_seconds", 3.0),  # above the longest
        ("multiplier", 0.5),
        ("budget_retries", -1),
        ("budget_ratio", -0.1),
        ("budget_per_second", -1.0),
    ],
)
def test_a_retry_policy_is_refused_by_field(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        RetryPolicy(**{field: value})  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantile", 0.0),
        ("quantile", 1.0),
        ("min_calls", 0),
        ("min_calls", 201),  # above the window
        ("min_seconds", -1.0),
    ],
)
def test_a_hedge_policy_is_refused_by_field(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        HedgePolicy(**{field: value})  # type: ignore[arg-type]  # by name
