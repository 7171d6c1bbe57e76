"""Which version is loaded next, and which need not be served any longer: case by case."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from lstmserve_server.store.directives import Directives
from lstmserve_server.store.served_model import ServedModel
from lstmserve_server.store.version_record import VersionState
from support.inventories import NOW, Store, look, make_inventory, ready, settle


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
        assert "the same for two looks" in record.reason
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


def test_a_version_that_is_served_inexact_keeps_saying_so() -> None:
    inventory = make_inventory()
    look(inventory, {("a", 1): 1}, is_first=True)
    settle(inventory)
    record = inventory.find(("a", 1))
    assert record is not None
    record.served = cast("ServedModel", SimpleNamespace(difference="it counts its calls"))
    look(inventory, {("a", 1): 1})
    assert record.reason == "served inexact, one reply at a time: it counts its calls"


def test_versions_that_are_gone_and_not_used_are_forgotten() -> None:
    inventory = make_inventory()
    look(inventory, {("a", 1): 1, ("a", 2): 1, ("b", 1): 1}, is_first=True)
    settle(inventory, ("b", 1))
    assert set(look(inventory, {("a", 2): 1})) == {("a", 1), ("b", 1)}
    assert [record.id for record in inventory] == [("a", 2)]
