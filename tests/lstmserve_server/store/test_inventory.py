"""Which version is loaded next, which need not be served, and who answers: case by case."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from lstmserve_server.store.directives import Directives
from lstmserve_server.store.inventory import Inventory
from lstmserve_server.store.repository import StoredVersion
from lstmserve_server.store.served_model import ServedModel
from lstmserve_server.store.version_policy import parse_policy
from lstmserve_server.store.version_record import VersionState

SERVED = cast("ServedModel", object())  # the inventory never looks into it
NOW = 1000.0
NOTHING_SAID = Directives()
Store = dict[tuple[str, int], int]  # versions and what their files look like


def make_inventory(policy: str = "latest", directives: Directives = NOTHING_SAID) -> Inventory:
    return Inventory(parse_policy(policy), directives)


def look(inventory: Inventory, store: Store, *, is_first: bool = False) -> list[tuple[str, int]]:
    found = [
        (StoredVersion(*version, Path("store", *map(str, version))), (("model.pt", look, look),))
        for version, look in store.items()
    ]
    return inventory.look(found, is_first=is_first)


def settle(inventory: Inventory, *bad: tuple[str, int], retry_at: float = 0) -> list[object]:
    """As the manager does; returns what was loaded, or tried."""
    tried = []
    while (record := inventory.next_to_load(NOW)) is not None:
        tried.append(record.id)
        record.tried = record.fingerprint
        if record.id in bad:
            record.state, record.retry_at = VersionState.FAILED, retry_at
        else:
            record.state, record.served = VersionState.READY, SERVED
    for record in inventory.surplus(NOW):
        record.state, record.served = VersionState.UNLOADED, None
    return tried


def ready(inventory: Inventory) -> set[tuple[str, int]]:
    return {record.id for record in inventory if record.is_ready}


def test_the_default_model_comes_first_and_the_newest_version() -> None:
    inventory = make_inventory("latest:2", Directives(default_model="b"))
    look(inventory, {("a", 1): 1, ("b", 1): 1, ("b", 2): 1, ("b", 3): 1}, is_first=True)
    assert settle(inventory) == [("b", 3), ("b", 2), ("a", 1)]


def test_what_comes_later_is_loaded_when_it_looks_the_same_twice() -> None:
    inventory = make_inventory()
    look(inventory, {("a", 1): 1}, is_first=True)
    settle(inventory)
    for files in (1, 2, 3):
        look(inventory, {("a", 1): 1, ("a", 2): files})
        assert settle(inventory) == []
        record = inventory.find(("a", 2))
        assert record is not None
        assert "still changing" in record.reason
    look(inventory, {("a", 1): 1, ("a", 2): 3})
    assert settle(inventory) == [("a", 2)]
    assert ready(inventory) == {("a", 2)}


def test_a_bad_newest_version_leaves_the_older_one_and_is_not_tried_again() -> None:
    inventory = make_inventory()
    store: Store = {("a", 1): 1, ("a", 2): 1}
    look(inventory, store, is_first=True)
    assert settle(inventory, ("a", 2)) == [("a", 2), ("a", 1)]
    look(inventory, store)
    assert settle(inventory) == []
    look(inventory, {**store, ("a", 2): 7})
    assert settle(inventory) == []
    look(inventory, {**store, ("a", 2): 7})
    assert settle(inventory) == [("a", 2)]
    assert ready(inventory) == {("a", 2)}


@pytest.mark.parametrize(("retry_at", "tried"), [(NOW, [("a", 2)]), (NOW + 1, [])])
def test_what_failed_in_passing_is_tried_again_in_time(
    retry_at: float, tried: list[object]
) -> None:
    inventory = make_inventory()
    look(inventory, {("a", 1): 1, ("a", 2): 1}, is_first=True)
    record = inventory.find(("a", 2))
    assert record is not None
    record.state, record.tried, record.retry_at = VersionState.FAILED, record.fingerprint, retry_at
    assert ("a", 2) not in ready(inventory)
    assert [each for each in settle(inventory) if each == ("a", 2)] == tried


def test_a_version_that_was_deleted_is_served_until_another_one_is() -> None:
    inventory = make_inventory()
    look(inventory, {("a", 1): 1}, is_first=True)
    settle(inventory)
    assert look(inventory, {("b", 1): 1}) == []
    settle(inventory)
    record = inventory.find(("a", 1))
    assert record is not None
    assert "no longer holds it" in record.reason
    assert ("a", 1) in ready(inventory)
    for _ in range(2):
        look(inventory, {("a", 2): 1, ("b", 1): 1})
        settle(inventory)
    assert ready(inventory) == {("a", 2), ("b", 1)}
    assert inventory.forget_gone() == [("a", 1)]


def test_a_version_that_comes_back_needs_no_reason_any_more() -> None:
    inventory = make_inventory()
    look(inventory, {("a", 1): 1}, is_first=True)
    settle(inventory)
    for store, said in (({("a", 1): 2}, "changed"), ({}, "no longer"), ({("a", 1): 1}, "")):
        look(inventory, store)
        record = inventory.find(("a", 1))
        assert record is not None
        assert record.is_ready
        assert said in record.reason
        assert bool(said) == bool(record.reason)


def test_versions_that_are_gone_and_not_used_are_forgotten() -> None:
    inventory = make_inventory()
    look(inventory, {("a", 1): 1, ("a", 2): 1, ("b", 1): 1}, is_first=True)
    settle(inventory, ("b", 1))
    assert set(look(inventory, {("a", 2): 1})) == {("a", 1), ("b", 1)}
    assert [record.id for record in inventory] == [("a", 2)]


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


def test_a_model_that_comes_later_does_not_become_the_default_before_it_answers() -> None:
    inventory = make_inventory()
    look(inventory, {("b", 1): 1}, is_first=True)
    settle(inventory)
    look(inventory, {("a", 1): 1, ("b", 1): 1})
    settle(inventory)
    assert inventory.roster().default_model == "b"
