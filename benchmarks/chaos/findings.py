"""From what callers heard, and what happened meanwhile, to figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from benchmarks.chaos.faults import Fault
from benchmarks.chaos.streams import Silence
from benchmarks.load.figures import Percentiles

NOTHING = "nothing"


def silences_by_kind(
    silences: Iterable[Silence], faults: Sequence[Fault]
) -> Mapping[str, Percentiles]:
    """The longest silence of each stream, in ms, by what happened during it."""
    found: dict[str, list[float]] = {NOTHING: []}
    for silence in silences:
        found.setdefault(_cause(silence, faults), []).append(silence.seconds)
    return {kind: Percentiles.of_seconds(np.array(each)) for kind, each in found.items()}


def _cause(silence: Silence, faults: Sequence[Fault]) -> str:
    """Faults come one at a time; what two overlap with is the later one's."""
    kinds = [
        fault.kind.value
        for fault in faults
        if silence.began_at < fault.ended_at and silence.ended_at > fault.began_at
    ]
    return kinds[-1] if kinds else NOTHING
