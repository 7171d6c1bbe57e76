"""Who answers, by the policy and by what operators said."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lstmserve_server.store.directives import Directives
from support.inventories import look, make_inventory, ready, settle

Say = Callable[[Directives], Directives]


@pytest.mark.parametrize(
    ("policy", "say", "served", "weights"),
    [
        ("latest", lambda said: said, {3}, {3: 1}),
        ("latest:2", lambda said: said, {2, 3}, {3: 1}),
        ("all", lambda said: said, {1, 2, 3}, {3: 1}),
        ("1,2", lambda said: said, {1, 2}, {2: 1}),
        ("latest", lambda said: said.with_requested(("a", 1)), {1, 3}, {3: 1}),
        ("1", lambda said: said.with_requested(("a", 3)), {1, 3}, {1: 1}),
        ("latest", lambda said: said.with_rejected(("a", 3)), {2}, {2: 1}),
        ("3", lambda said: said.with_rejected(("a", 3)), set(), {}),
        ("latest", lambda said: said.with_weights("a", {1: 3, 3: 1}), {1, 3}, {1: 3, 3: 1}),
        ("latest", lambda said: said.with_weights("a", {1: 3, 3: 0}), {1, 3}, {1: 3}),
        ("latest", lambda said: said.with_weights("a", {7: 1}), {3}, {3: 1}),
        ("latest", lambda said: said.with_weights("b", {1: 1}), {3}, {3: 1}),
        (
            "latest",
            lambda said: said.with_weights("a", {1: 1, 2: 1}).with_rejected(("a", 2)),
            {1, 3},
            {1: 1},
        ),
    ],
)
def test_policy_and_operators_decide_together_who_answers(
    policy: str, say: Say, served: set[int], weights: dict[int, int]
) -> None:
    inventory = make_inventory(policy, say(Directives()))
    look(inventory, {("a", 1): 1, ("a", 2): 1, ("a", 3): 1}, is_first=True)
    settle(inventory)
    assert ready(inventory) == {("a", number) for number in served}
    assert inventory.roster().weights == ({"a": weights} if weights else {})


@pytest.mark.parametrize("default", ["a", "b"])
def test_the_last_version_of_the_default_model_is_kept_even_if_rejected(default: str) -> None:
    inventory = make_inventory(directives=Directives(default_model=default))
    look(inventory, {("a", 1): 1, ("b", 1): 1}, is_first=True)
    settle(inventory)
    said = inventory.directives
    inventory.directives = said.with_rejected(("a", 1)).with_rejected(("b", 1))
    settle(inventory)
    assert ready(inventory) == {(default, 1)}
    assert inventory.roster().weights == {default: {1: 1}}


def test_no_model_is_the_default_for_its_name_alone() -> None:
    inventory = make_inventory()
    look(inventory, {("a", 1): 1, ("b", 1): 1}, is_first=True)
    settle(inventory)
    assert ready(inventory) == {("a", 1), ("b", 1)}
    assert inventory.roster().default_model == ""
    inventory.stored_default = "b"
    assert inventory.roster().default_model == "b"
