"""Servers that a Prometheus watches."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.dashboards.prometheus import Prometheus


@dataclass(frozen=True)
class Observed:
    """A Prometheus, and what it calls a server that was asked and one that was not."""

    prometheus: Prometheus
    busy: str
    idle: str
