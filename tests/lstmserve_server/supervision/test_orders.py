"""What every worker is told, also those that are started when the store has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lstmserve_server.config import Address, ServerConfig, StoreConfig, WorkersConfig
from lstmserve_server.errors import StartupError
from lstmserve_server.supervision.supervisor import Supervisor

LISTEN = Address("127.0.0.1", 7)


def order(store: Path, default_model: str = "") -> list[str]:
    """The default models of two workers."""
    config = ServerConfig(
        replace(LISTEN, port=0), LISTEN, StoreConfig(store, default_model), workers=WorkersConfig(2)
    )
    orders = Supervisor(config, "INFO", "json")._make_orders(LISTEN)
    assert all(each.config.listen == LISTEN for each in orders)
    return [each.config.store.default_model for each in orders]


def test_the_default_model_is_settled_for_all_workers_when_the_server_starts(
    tmp_path: Path,
) -> None:
    for name in ("c", "b"):
        (tmp_path / name / "1").mkdir(parents=True)
    assert order(tmp_path) == ["b", "b"]
    assert order(tmp_path, "c") == ["c", "c"]


def test_a_store_without_a_model_starts_no_worker(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="--model-store"):
        order(tmp_path)
