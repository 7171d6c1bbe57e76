"""What every worker is told, also those that are started when the store has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lstmserve_bundle.store import write_default
from lstmserve_server.config import Address, ServerConfig, StoreConfig, WorkersConfig
from lstmserve_server.errors import StartupError
from lstmserve_server.supervision.supervisor import Supervisor
from support.stores import make_folders

LISTEN = Address("127.0.0.1", 7)


def order(store: Path, default_model: str = "") -> list[tuple[str, str]]:
    """What two workers are told of default models: by the operator, and by the store."""
    config = ServerConfig(
        replace(LISTEN, port=0), LISTEN, StoreConfig(store, default_model), workers=WorkersConfig(2)
    )
    orders = Supervisor(config)._make_orders(LISTEN)
    assert all(each.config.listen == LISTEN for each in orders)
    stores = [each.config.store for each in orders]
    return [(store.default_model, store.stored_default) for store in stores]


def test_the_default_model_is_settled_for_all_workers_when_the_server_starts(
    tmp_path: Path,
) -> None:
    make_folders(tmp_path, "b/1")
    assert order(tmp_path) == [("", "b")] * 2
    make_folders(tmp_path, "a/1")
    assert order(tmp_path) == [("", "")] * 2
    write_default(tmp_path, "b")
    assert order(tmp_path) == [("", "b")] * 2
    assert order(tmp_path, "a") == [("a", "b")] * 2


def test_a_store_without_a_model_starts_no_worker(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="--model-store"):
        order(tmp_path)
