"""One run: a fleet under a load, and the figures of a window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.capacity.cores import Steps
from benchmarks.capacity.costs import Costs
from benchmarks.capacity.fleet import Fleet
from benchmarks.capacity.fleet_plan import FleetPlan
from benchmarks.capacity.flight import Call
from benchmarks.capacity.outcome import Outcome, Use, compute_outcome
from benchmarks.capacity.traffic import Request, Traffic

Script = Callable[[Fleet], Steps]  # what happens to the fleet, and when


@dataclass(frozen=True)
class Timing:
    """Simulated seconds."""

    warm_up: float = 3.0
    seconds: float = 20.0

    @property
    def end(self) -> float:
        return self.warm_up + self.seconds


@dataclass(frozen=True)
class Run:
    """All calls, and the figures of those that came in the window."""

    calls: Sequence[Call]
    outcome: Outcome
    num_begun: int


def simulate(
    plan: FleetPlan,
    traffic: Traffic,
    costs: Costs,
    timing: Timing,
    *,
    seed: int = 0,
    script: Script | None = None,
    others: float = 0.0,
    requests: Iterable[Request] | None = None,
) -> Run:
    """Run a fleet; the same arguments give the same figures.

    ``requests`` come instead of what is drawn.
    """
    fleet = Fleet(plan, traffic, costs, seed, others, requests)
    looks: list[Use] = []
    looked = fleet.environment.process(_look(fleet, timing, looks))
    if script is not None:
        fleet.environment.process(script(fleet))
    fleet.run(timing.end)
    fleet.environment.run(looked)
    calls = fleet.clients.ended
    inside = [call for call in calls if timing.warm_up <= call.arrived < timing.end]
    return Run(
        calls, compute_outcome(inside, timing.seconds, plan.scale, looks[-1]), fleet.num_begun
    )


def _look(fleet: Fleet, timing: Timing, looks: list[Use]) -> Steps:
    yield fleet.environment.timeout(timing.warm_up)
    begun = fleet.totals()
    yield fleet.environment.timeout(timing.seconds)
    looks.append(fleet.use(begun, timing.seconds))
