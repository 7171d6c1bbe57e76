"""Lines that the log had no room for are a metric."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lstmserve_server.app import App
from lstmserve_server.config import Address, ServerConfig, StoreConfig


class FullLog:
    """Stands in for a process's log whose queue is full."""

    level = "INFO"

    def __init__(self) -> None:
        self.drop: Callable[[], object] = list

    def on_drop(self, callback: Callable[[], object]) -> None:
        self.drop = callback


async def test_dropped_lines_are_counted() -> None:
    anywhere, log = Address("127.0.0.1", 0), FullLog()
    app = App(ServerConfig(anywhere, anywhere, StoreConfig(Path())), log)
    for count in (0, 1, 2):
        found = app._registry.get_sample_value("lstmserve_log_lines_dropped_total")
        assert found == count
        log.drop()
