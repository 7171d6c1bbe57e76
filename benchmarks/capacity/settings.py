"""What a command line says about the costs, the load and the fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from benchmarks.capacity.costs import Costs, read_costs
from benchmarks.capacity.fleet_plan import FleetPlan
from benchmarks.capacity.traffic import Traffic
from lstmserve_server.config import EngineConfig

Settings = TypeVar("Settings", Traffic, FleetPlan, EngineConfig)

CostOverrides = Annotated[
    list[str] | None,
    typer.Option("--cost", metavar="NAME=SECONDS", help="Instead of the measured; repeatable."),
]
TrafficOverrides = Annotated[
    list[str] | None,
    typer.Option("--traffic", metavar="NAME=VALUE", help="Of Traffic; repeatable."),
]
PlanOverrides = Annotated[
    list[str] | None,
    typer.Option(
        "--fleet", metavar="NAME=VALUE", help="Of FleetPlan and EngineConfig; repeatable."
    ),
]


def override(settings: Settings, overrides: Sequence[str]) -> Settings:
    """Return the settings with some of them replaced; raises typer.BadParameter."""
    for text in overrides:
        name, _, value = text.partition("=")
        if name not in {field.name for field in fields(settings)}:
            names = ", ".join(field.name for field in fields(settings))
            raise typer.BadParameter(f"{name!r} is none of {names}")
        changed: dict[str, Any] = {name: _parse(getattr(settings, name), name, value)}
        settings = replace(settings, **changed)
    return settings


def override_plan(plan: FleetPlan, overrides: Sequence[str]) -> FleetPlan:
    """Return the plan with some of its settings, or its engines', replaced."""
    engine_names = {field.name for field in fields(EngineConfig)}
    of_engine = [text for text in overrides if text.partition("=")[0] in engine_names]
    others = [text for text in overrides if text not in of_engine]
    return override(replace(plan, engine=override(plan.engine, of_engine)), others)


def load_costs(path: Path, overrides: Sequence[str]) -> Costs:
    try:
        return read_costs(path, overrides)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None


def _parse(now: object, name: str, value: str) -> object:
    """Read a value of the same type as the one that it replaces."""
    try:
        if isinstance(now, bool):
            return {"true": True, "false": False}[value.lower()]
        if isinstance(now, tuple):
            low, _, high = value.partition("-")
            return int(low), int(high or low)
        kind = int if now is None else type(now)
        if issubclass(kind, int | float | Enum):
            return kind(value)
    except (KeyError, ValueError):
        raise typer.BadParameter(f"{name}: {value!r} is no {type(now).__name__}") from None
    raise typer.BadParameter(f"{name} cannot be given here")
