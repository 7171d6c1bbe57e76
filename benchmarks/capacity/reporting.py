"""Everything that docs/capacity.md shows: needs, latencies by utilization, scenarios."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.capacity.costs import Costs
from benchmarks.capacity.example import SAMPLE, TRAFFIC, UTILIZATION, Company, size, to_plan
from benchmarks.capacity.fleet_plan import FleetPlan
from benchmarks.capacity.outcome import Outcome
from benchmarks.capacity.planning import Need
from benchmarks.capacity.plots import draw_latencies, draw_needs, draw_scenarios
from benchmarks.capacity.scenarios import AT_SECONDS, SCENARIOS
from benchmarks.capacity.simulation import Timing, simulate
from benchmarks.capacity.timeline import Second, by_second

RATES = (1e3, 1e4, 1e5, 1e6)
TRAFFICS = {
    "4 in 10 never kept": TRAFFIC,
    "1 in 10 never kept": replace(TRAFFIC, fresh_share=0.1),
    "all generated": replace(TRAFFIC, fresh_share=1.0),
}
UTILIZATIONS = (0.3, 0.5, 0.7, 0.9)
LOST_ZONE_UTILIZATIONS = (0.4, 0.5, 0.6, 0.7)
SMALL_FLEET = 6  # that is simulated whole, too

Tell = Callable[[str], object]


@dataclass(frozen=True)
class Sizes:
    """Simulated seconds."""

    scenario_seconds: float = 14.0
    load_seconds: float = 5.0


def report(costs: Costs, folder: Path, sizes: Sizes, tell: Tell) -> dict[str, object]:
    """Simulate and draw; return the figures."""
    needs = {
        name: {rate: size(rate, costs, traffic) for rate in RATES}
        for name, traffic in TRAFFICS.items()
    }
    draw_needs(folder / "replicas.png", needs)
    rates = Company().rates
    example = {name: size(rate, costs) for name, rate in rates.items()}
    need, rate = example["emergency"], rates["emergency"]
    tell("load ...")
    load = {one: _load(need, rate, costs, one, sizes.load_seconds) for one in UTILIZATIONS}
    draw_latencies(folder / "utilization.png", {one: _row(found) for one, found in load.items()})
    scenarios = _run_scenarios(need, rate, costs, sizes, tell)
    draw_scenarios(folder / "scenarios.png", scenarios, AT_SECONDS)
    tell("a zone lost, by utilization ...")
    return {
        "needs": {name: _to_json(found) for name, found in needs.items()},
        "example": {"rates": rates, "needs": {name: asdict(one) for name, one in example.items()}},
        "load": {str(one): asdict(found) for one, found in load.items()},
        "scenarios": {name: [*map(asdict, found)] for name, found in scenarios.items()},
        "zone_lost": _lose_zones(need, rate, costs, sizes),
        "sample": _compare_sample(need, rate, costs, sizes.load_seconds),
    }


def _to_json(found: dict[float, Need]) -> dict[str, object]:
    return {f"{rate:g}": asdict(need) for rate, need in found.items()}


def _row(outcome: Outcome) -> Sequence[float]:
    first, reply = outcome.first_token_ms, outcome.reply_ms
    return first.p50, first.p99, reply.p50, reply.p99


def _sized(need: Need, utilization: float) -> FleetPlan:
    """Return a fleet in which the sample has the load of this utilization."""
    replicas = round(need.replicas * UTILIZATION / utilization)
    return replace(to_plan(need), replicas=max(SAMPLE, replicas))


def _rate(plan: FleetPlan, need: Need, rate: float, utilization: float) -> float:
    """Return the rate that gives it exactly: replicas are whole numbers."""
    return rate * utilization / UTILIZATION * plan.replicas / need.replicas


def _load(need: Need, rate: float, costs: Costs, utilization: float, seconds: float) -> Outcome:
    plan = _sized(need, utilization)
    traffic = replace(TRAFFIC, rate=_rate(plan, need, rate, utilization))
    return simulate(plan, traffic, costs, Timing(2.0, seconds)).outcome


def _run_scenarios(
    need: Need, rate: float, costs: Costs, sizes: Sizes, tell: Tell
) -> dict[str, list[Second]]:
    found = {}
    traffic, timing = replace(TRAFFIC, rate=rate), Timing(0.0, sizes.scenario_seconds)
    for name, script in SCENARIOS.items():
        tell(f"{name} ...")
        run = simulate(to_plan(need), traffic, costs, timing, script=script)
        found[name] = by_second(run.calls, sizes.scenario_seconds)
    return found


def _lose_zones(need: Need, rate: float, costs: Costs, sizes: Sizes) -> dict[str, object]:
    """Return the figures after a third of the replicas has gone, by utilization before."""
    found: dict[str, object] = {}
    for utilization in LOST_ZONE_UTILIZATIONS:
        plan = _sized(need, utilization)
        traffic = replace(TRAFFIC, rate=_rate(plan, need, rate, utilization))
        timing = Timing(AT_SECONDS, sizes.load_seconds)
        lost = simulate(plan, traffic, costs, timing, script=SCENARIOS["a zone lost"])
        found[str(utilization)] = asdict(lost.outcome)
    return found


def _compare_sample(need: Need, rate: float, costs: Costs, seconds: float) -> dict[str, object]:
    """Return the figures of a small fleet, simulated whole and as samples."""
    traffic = replace(TRAFFIC, rate=rate * SMALL_FLEET / need.replicas)
    plan = replace(to_plan(need), replicas=SMALL_FLEET)
    return {
        name: asdict(simulate(replace(plan, sample=sample), traffic, costs, timing).outcome)
        for timing in [Timing(2.0, seconds)]
        for name, sample in (("whole", SMALL_FLEET), ("3 of 6", 3), ("1 of 6", 1))
    }
