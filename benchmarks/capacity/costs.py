"""What serving costs on one machine: the measured inputs of every simulation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

MEASURED = Path(__file__).parents[1] / "results" / "capacity-costs.json"

Curve = Mapping[float, float]  # seconds by something that is measured at some places
NOTHING = {0.0: 0.0}


@dataclass(frozen=True)
class Costs:
    """Seconds of one core, unless a field says otherwise."""

    step_seconds: Curve  # a decode step, by rows
    turn_seconds: float  # of the engine, for each quantum beside its steps
    reply_seconds: float  # of the engine, for each reply beside its tokens
    prefill_token_seconds: float
    engine_factor: float  # the running engine beside the benchmark's: messages, colder caches
    front_generated_seconds: float  # the server's own process, per request, messages apart
    front_kept_seconds: float  # the same of a reply that it keeps
    front_far_seconds: float  # what a lookup in Redis adds, whether it finds a reply or not
    front_message_seconds: float
    redis_operation_seconds: float  # of Redis' one thread
    redis_round_trip_seconds: float  # elapsed, an idle Redis
    generator_request_seconds: float  # of benchmarks.load, where it shares the cores
    generator_message_seconds: float
    # elapsed until the first token beside all processor time, by quantile; what the engine adds
    wake_up_seconds: Curve = field(default_factory=NOTHING.copy)
    engine_wake_up_seconds: Curve = field(default_factory=NOTHING.copy)
    # what a thread's job costs more after it was idle, by for how many seconds
    front_cold_seconds: Curve = field(default_factory=NOTHING.copy)
    engine_cold_seconds: Curve = field(default_factory=NOTHING.copy)
    generator_cold_seconds: Curve = field(default_factory=NOTHING.copy)

    def step(self, rows: int) -> float:
        """Return the seconds of a decode step of so many rows, between those measured."""
        return interpolate(self.step_seconds, rows)

    def wake_up(self, quantile: float) -> float:
        return interpolate(self.wake_up_seconds, quantile)

    def wake_up_engine(self, quantile: float) -> float:
        return interpolate(self.engine_wake_up_seconds, quantile)

    def to_json(self) -> dict[str, object]:
        return {
            name: {f"{at:g}": seconds for at, seconds in value.items()}
            if isinstance(value, Mapping)
            else value
            for name, value in asdict(self).items()
        }


def interpolate(curve: Curve, at: float) -> float:
    """Return the seconds between those measured, and beyond them the nearest."""
    return float(np.interp(at, [*curve], [*curve.values()]))


CURVES = {each.name for each in fields(Costs) if each.type == "Curve"}


def read_costs(path: Path, overrides: Sequence[str] = ()) -> Costs:
    """Read what ``measure`` wrote; ``name=value`` replaces one figure, or a curve by a constant.

    Raises ValueError for an override that names no figure, or a value that is no number from 0.
    """
    found = json.loads(path.read_text("utf-8"))["costs"]
    figures: dict[str, Any] = {name: _to_figure(name, value) for name, value in found.items()}
    return override(Costs(**figures), overrides)


def _to_figure(name: str, value: float | dict[str, float]) -> float | Curve:
    """Return a figure; where older files have a number for a curve, it is a constant."""
    if isinstance(value, dict):
        return dict(sorted((float(at), seconds) for at, seconds in value.items()))
    return {0.0: value} if name in CURVES else value


def override(costs: Costs, overrides: Sequence[str]) -> Costs:
    names = {each.name for each in fields(Costs)} - {"step_seconds"}
    for text in overrides:
        name, _, value = text.partition("=")
        if name not in names:
            raise ValueError(f"{name!r} is no cost: give one of {', '.join(sorted(names))}")
        changed: dict[str, Any] = {name: _to_figure(name, _parse(name, value))}
        costs = replace(costs, **changed)
    return costs


def _parse(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{name}: {value!r} is no number") from None
    if not 0 <= number < float("inf"):
        raise ValueError(f"{name}: must be a number from 0 on, not {value}")
    return number
