"""Stands in for a process's log, where the process is the test's own."""

from __future__ import annotations

from collections.abc import Callable

from lstmserve_server.telemetry.logging import ProcessLog


class NoLog(ProcessLog):
    """Changes nothing, and drops nothing."""

    def __init__(self) -> None:
        self._level = "INFO"

    def set_level(self, level: str) -> None:
        self._level = level

    def on_drop(self, callback: Callable[[], object]) -> None:
        pass

    def close(self) -> None:
        pass
