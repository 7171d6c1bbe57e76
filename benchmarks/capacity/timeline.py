"""Calls by the second in which they came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.capacity.flight import Call, Source
from benchmarks.capacity.outcome import FAILED


@dataclass(frozen=True)
class Second:
    """What became of the calls of one second; milliseconds."""

    second: int
    first_p50: float
    first_p99: float
    generated_share: float
    failed_share: float


def by_second(calls: Sequence[Call], seconds: float) -> list[Second]:
    groups: list[list[Call]] = [[] for _ in range(int(np.ceil(seconds)))]
    for call in calls:
        groups[int(call.arrived)].append(call)
    return [_to_second(number, group) for number, group in enumerate(groups) if group]


def _to_second(number: int, calls: Sequence[Call]) -> Second:
    waits = [1e3 * (call.first - call.arrived) for call in calls if call.source not in FAILED]
    p50, p99 = np.percentile(waits, [50, 99]).tolist() if waits else (np.nan, np.nan)
    generated = sum(call.source is Source.GENERATED for call in calls)
    failed = sum(call.source in FAILED for call in calls)
    return Second(number, p50, p99, generated / len(calls), failed / len(calls))
