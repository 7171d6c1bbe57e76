"""Simulated replicas are asked what the real ones were."""

from __future__ import annotations

from itertools import islice

import pytest

from benchmarks.capacity.costs import MEASURED, read_costs
from benchmarks.capacity.same_load import draw_same, make_workload
from benchmarks.capacity.twin import Figures, Loaded, simulate_same
from benchmarks.load.driver import arrivals
from benchmarks.load.prompts import load_prompts

UNKNOWN = Figures(*[0.0] * 6)


def load(replicas: int, *, is_kept: bool) -> Loaded:
    return Loaded(replicas, is_kept, 20.0, 3, 0.5, 4.0, 2, 0.1, 0.0, 0.0, 0, UNKNOWN)


@pytest.mark.parametrize("is_kept", [True, False])
def test_the_same_questions_come_at_the_same_moments(is_kept: bool) -> None:
    workload, prompts = make_workload(3, is_kept=is_kept), load_prompts()
    found = [*draw_same(20.0, 5.0, workload, "0")]
    assert [moment for moment, _ in found] == [*arrivals(20.0, 0.0, 5.0, "3/0")]
    asks = [*islice(workload.asks(0), len(found))]
    assert [prompts[question.number] for _, question in found] == [ask.prompt for ask in asks]
    assert [question.tokens for _, question in found] == [ask.max_tokens for ask in asks]
    assert all((question.variant < 0) is not is_kept for _, question in found)


@pytest.mark.parametrize("replicas", [1, 3])
def test_all_of_them_are_answered_and_kept_ones_are_faster(replicas: int) -> None:
    costs = read_costs(MEASURED)
    kept, generated = (
        simulate_same(load(replicas, is_kept=is_kept), costs) for is_kept in (True, False)
    )
    assert 10 < kept.requests < 30
    assert kept.first_p50 < generated.first_p50
    assert simulate_same(load(replicas, is_kept=True), costs) == kept
