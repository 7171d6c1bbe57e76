"""How many further attempts all calls of a client may make."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lstmserve_client import RetryPolicy
from lstmserve_client.retries import RetryBudget


def spend_all(budget: RetryBudget, now: float) -> int:
    spent = 0
    while budget.try_spend(now):
        spent += 1
    return spent


def test_it_is_full_at_the_start_and_then_empty() -> None:
    budget = RetryBudget(RetryPolicy(budget_retries=3), now=5.0)
    assert spend_all(budget, 5.0) == 3


def test_calls_earn_attempts() -> None:
    budget = RetryBudget(RetryPolicy(budget_retries=4, budget_ratio=0.25), now=0.0)
    spend_all(budget, 0.0)
    for _ in range(8):
        budget.earn()
    assert spend_all(budget, 0.0) == 2


def test_time_earns_attempts_and_a_full_bucket_earns_none() -> None:
    budget = RetryBudget(RetryPolicy(budget_retries=4, budget_per_second=2.0), now=0.0)
    spend_all(budget, 0.0)
    assert spend_all(budget, 1.5) == 3
    assert spend_all(budget, 1000.0) == 4
    for _ in range(1000):
        budget.earn()
    assert spend_all(budget, 1000.0) == 4


def test_a_policy_without_a_budget_never_asks_again() -> None:
    budget = RetryBudget(RetryPolicy(budget_retries=0), now=0.0)
    budget.earn()
    assert not budget.try_spend(1e9)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 0.5))))
def test_no_more_is_spent_than_was_given_and_earned(steps: list[tuple[bool, float]]) -> None:
    policy = RetryPolicy(budget_retries=5, budget_ratio=0.5, budget_per_second=1.0)
    budget, now, calls, spent = RetryBudget(policy, now=0.0), 0.0, 0, 0
    for is_call, seconds in steps:
        now += seconds
        if is_call:
            budget.earn()
            calls += 1
        else:
            spent += budget.try_spend(now)
        assert spent <= 5 + 0.5 * calls + now + 1e-9
