"""What must not get lost when a process ends, or forgets a version before the others do.

A total that went back would look like a process that began anew: all of it would be counted
once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from lstmserve_server.telemetry.merge import key_of

CUMULATIVE = ("counter", "histogram")
MODEL_INFO = "lstmserve_model"  # the family in which every version in memory has a series


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
