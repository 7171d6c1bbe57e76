"""An inventory of versions that hold nothing, and what a manager does with it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from lstmserve_server.store.directives import Directives
from lstmserve_server.store.inventory import Inventory
from lstmserve_server.store.repository import StoredVersion
from lstmserve_server.store.served_model import ServedModel
from lstmserve_server.store.version_policy import parse_policy
from lstmserve_server.store.version_record import VersionState

SERVED = cast("ServedModel", SimpleNamespace(difference=""))  # all that is looked at
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
