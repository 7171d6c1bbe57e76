"""Several processes' metrics as those of one server. Knows nothing of where they come from."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping

from prometheus_client.metrics_core import Metric

# a gauge has no meaning that would tell how to merge it, so each is named here
GAUGES: Mapping[str, Callable[[float, float], float]] = {
    "lstmserve_running_sequences": operator.add,
    "lstmserve_waiting_sequences": operator.add,
    "lstmserve_waiting_tokens": operator.add,
    "lstmserve_parked_sequences": operator.add,
    "lstmserve_max_running_sequences": operator.add,
    "lstmserve_max_waiting_sequences": operator.add,
    "lstmserve_tokens_per_second": operator.add,
    "lstmserve_start_time_seconds": min,  # the supervisor's, which is the server's
    "lstmserve_resident_memory_bytes": operator.add,
    "lstmserve_peak_memory_bytes": operator.add,
    "lstmserve_state_bytes": operator.add,
    "lstmserve_model_bytes": max,  # all have loaded the same files
    "lstmserve_reference_log_perplexity": max,
    "lstmserve_model_state": operator.add,  # how many have a version in a state
    "lstmserve_model_traffic_share": max,  # the same everywhere, but for a moment
    "lstmserve_workers": operator.add,
    **{
        f"lstmserve_{cache}_{name}": operator.add
        for cache in ("cache", "state_cache")
        for name in ("bytes", "max_bytes", "entries")
    },
    "lstmserve_cache_breaker_open": max,  # of any
}
TYPES: Mapping[str, Callable[[float, float], float]] = {
    "counter": operator.add,
    "histogram": operator.add,
    "info": max,  # the same from everyone
}
CUMULATIVE = ("counter", "histogram")


def merge(families: Iterable[Metric]) -> list[Metric]:
    """One family of every name, with the samples of all: summed, or as the tables say."""
    merged: dict[str, _Family] = {}
    for family in families:
        merged.setdefault(family.name, _Family(family)).add(family)
    return [family.to_metric() for family in merged.values()]


def keep_totals(families: Iterable[Metric]) -> list[Metric]:
    """Of the families of a process that has ended, those that still count."""
    return [family for family in families if family.type in CUMULATIVE]


class _Family:
    def __init__(self, like: Metric) -> None:
        self._like = like
        self._combine = TYPES[like.type] if like.type in TYPES else GAUGES[like.name]
        self._values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}

    def add(self, family: Metric) -> None:
        for sample in family.samples:
            key = (sample.name, tuple(sample.labels.items()))
            known = self._values.get(key)
            self._values[key] = (
                sample.value if known is None else self._combine(known, sample.value)
            )

    def to_metric(self) -> Metric:
        metric = Metric(self._like.name, self._like.documentation, self._like.type)
        for (name, labels), value in self._values.items():
            metric.add_sample(name, dict(labels), value)
        return metric
