"""Several processes' metrics as those of one server. Knows nothing of where they come from.

Totals are kept when a process ends, or forgets a version before the others do: one that went back
would look like a process that began anew, and all of it would be counted once more.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Exemplar, Sample

Combine = Callable[[float, float], float]
Key = tuple[str, tuple[tuple[str, str], ...]]  # a sample's name and labels

# a gauge has no meaning that would tell how to merge it, so each is named here
GAUGES: Mapping[str, Combine] = {
    "lstmserve_running_sequences": operator.add,
    "lstmserve_waiting_sequences": operator.add,
    "lstmserve_waiting_tokens": operator.add,
    "lstmserve_parked_sequences": operator.add,
    "lstmserve_max_running_sequences": operator.add,  # each worker has them for itself
    "lstmserve_max_waiting_sequences": operator.add,
    "lstmserve_tokens_per_second": operator.add,
    "lstmserve_start_time_seconds": min,  # the supervisor's, which is the server's
    "lstmserve_resident_memory_bytes": operator.add,
    "lstmserve_peak_memory_bytes": operator.add,
    "lstmserve_state_bytes": operator.add,
    "lstmserve_model_bytes": max,  # all have loaded the same files
    "lstmserve_model_inexact": max,
    "lstmserve_reference_log_perplexity": max,
    "lstmserve_model_state": operator.add,  # how many workers have the version in that state
    "lstmserve_model_traffic_share": max,  # the same everywhere, but for a moment
    "lstmserve_workers": operator.add,
    "lstmserve_tls_certificate_expiry_timestamp_seconds": min,  # all follow the same files
    **{
        f"lstmserve_{cache}_{name}": operator.add
        for cache in ("cache", "state_cache")
        for name in ("bytes", "max_bytes", "entries")
    },
    "lstmserve_constraint_bytes": operator.add,
    "lstmserve_constraint_entries": operator.add,
    "lstmserve_cache_breaker_open": max,  # of any
}
# neither a sum nor an extreme of these means anything: every worker's stands for itself
APART = frozenset(
    f"lstmserve_quality_{name}"
    for name in ("log_perplexity", "distinct", "empty_ratio", "length_limit_ratio", "window_tokens")
)
TYPES: Mapping[str, Combine] = {
    "counter": operator.add,
    "histogram": operator.add,
    "info": max,  # the same from everyone
}


CUMULATIVE = ("counter", "histogram")
MODEL_INFO = "lstmserve_model"  # the family in which every version in memory has a series


@dataclass(frozen=True, slots=True)
class _Value:
    """Of one series, with a call that stands for it if there is one."""

    value: float
    exemplar: Exemplar | None

    def join(self, other: _Value, combine: Combine) -> _Value:
        exemplars = [one.exemplar for one in (self, other) if one.exemplar is not None]
        newest = max(exemplars, key=_time_of, default=None)
        return _Value(combine(self.value, other.value), newest)


def _time_of(exemplar: Exemplar) -> float:
    return float(exemplar.timestamp or 0)


def merge(families: Iterable[Metric]) -> list[Metric]:
    """One family of every name, with the samples of all: summed, or as the tables say."""
    merged: dict[str, _Family] = {}
    for family in families:
        merged.setdefault(family.name, _Family(family)).add(family)
    return [family.to_metric() for family in merged.values()]


def tell_apart(families: Iterable[Metric], worker: int) -> list[Metric]:
    """The same families; what cannot be merged has a label with the worker's number."""
    return [_label(family, worker) if family.name in APART else family for family in families]


def _label(family: Metric, worker: int) -> Metric:
    labeled = Metric(family.name, family.documentation, family.type)
    for sample in family.samples:
        labeled.add_sample(sample.name, {**sample.labels, "worker": str(worker)}, sample.value)
    return labeled


def key_of(sample: Sample) -> Key:
    """What names a series."""
    return sample.name, tuple(sample.labels.items())


def _find_way(like: Metric) -> Combine:
    if like.type in TYPES:
        return TYPES[like.type]
    return max if like.name in APART else GAUGES[like.name]


class _Family:
    def __init__(self, like: Metric) -> None:
        self._like = like
        self._combine = _find_way(like)
        self._values: dict[Key, _Value] = {}

    def add(self, family: Metric) -> None:
        for sample in family.samples:
            key, value = key_of(sample), _Value(sample.value, sample.exemplar)
            known = self._values.get(key)
            self._values[key] = value if known is None else known.join(value, self._combine)

    def to_metric(self) -> Metric:
        metric = Metric(self._like.name, self._like.documentation, self._like.type)
        for (name, labels), value in self._values.items():
            metric.add_sample(name, dict(labels), value.value, exemplar=value.exemplar)
        return metric


def keep_totals(families: Iterable[Metric]) -> list[Metric]:
    """Of the families of a process that has ended, those that still count."""
    return [family for family in families if family.type in CUMULATIVE]


def find_lost(before: Iterable[Metric], after: Iterable[Metric]) -> list[Metric]:
    """The totals that a process told before and does not tell any more."""
    told = {key_of(sample) for family in after for sample in family.samples}
    return [
        _keep(family, lambda sample: key_of(sample) not in told) for family in keep_totals(before)
    ]


def drop_unloaded(totals: Iterable[Metric], living: Iterable[Metric]) -> list[Metric]:
    """Without histograms of versions that none of the living processes has; they tell."""
    loaded = {
        _version_of(sample)
        for family in living
        if family.name == MODEL_INFO
        for sample in family.samples
    }
    wanted = {None, *loaded}
    return [
        family
        if family.type == "counter"
        else _keep(family, lambda sample: _version_of(sample) in wanted)
        for family in totals
    ]


def _version_of(sample: Sample) -> tuple[str, str] | None:
    """Which version it tells of; None when of no single one."""
    labels = sample.labels
    return (labels["model"], labels["version"]) if "version" in labels else None


def _keep(family: Metric, is_kept: Callable[[Sample], bool]) -> Metric:
    kept = Metric(family.name, family.documentation, family.type)
    kept.samples = list(filter(is_kept, family.samples))
    return kept
