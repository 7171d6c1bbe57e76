"""What serving costs on one machine: the measured inputs of every simulation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

MEASURED = Path(__file__).parents[1] / "results" / "capacity-costs.json"


@dataclass(frozen=True)
class Costs:
    """Seconds of one core, unless a field says otherwise."""

    step_seconds: Mapping[float, float]  # a decode step, by rows
    turn_seconds: float  # of the engine, for each quantum beside its steps
    reply_seconds: float  # of the engine, for each reply beside its tokens
    prefill_token_seconds: float
    engine_factor: float  # the running engine beside the benchmark's: messages, colder caches
    front_generated_seconds: float  # the server's own process, per request, messages apart
    front_kept_seconds: float  # the same of a reply that it keeps
    front_far_seconds: float  # what a lookup in Redis adds
    front_message_seconds: float
    redis_operation_seconds: float  # of Redis' one thread
    redis_round_trip_seconds: float  # elapsed, an idle Redis
    generator_request_seconds: float  # of benchmarks.load, where it shares the cores
    generator_message_seconds: float
    wake_up_seconds: float  # elapsed, beside all processor time of a kept reply

    def step(self, rows: int) -> float:
        """Return the seconds of a decode step of so many rows, between those measured."""
        numbers = [*self.step_seconds]
        return float(np.interp(rows, numbers, [self.step_seconds[number] for number in numbers]))

    def to_json(self) -> dict[str, object]:
        steps = {f"{rows:g}": seconds for rows, seconds in self.step_seconds.items()}
        return {**asdict(self), "step_seconds": steps}


def read_costs(path: Path, overrides: Sequence[str] = ()) -> Costs:
    """Read what ``measure`` wrote; ``name=value`` replaces one figure.

    Raises ValueError for an override that names no figure, or a value that is no number from 0.
    """
    found = json.loads(path.read_text("utf-8"))["costs"]
    steps = {float(rows): seconds for rows, seconds in found.pop("step_seconds").items()}
    costs = Costs(step_seconds=dict(sorted(steps.items())), **found)
    return override(costs, overrides)


def override(costs: Costs, overrides: Sequence[str]) -> Costs:
    names = {field.name for field in fields(Costs)} - {"step_seconds"}
    for text in overrides:
        name, _, value = text.partition("=")
        if name not in names:
            raise ValueError(f"{name!r} is no cost: give one of {', '.join(sorted(names))}")
        changed: dict[str, Any] = {name: _parse(name, value)}
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
