"""The worked example of docs/capacity.md: a company with 50 million customers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.capacity.costs import Costs
from benchmarks.capacity.fleet_plan import FleetPlan
from benchmarks.capacity.planning import Need, find_need
from benchmarks.capacity.traffic import Traffic

SECONDS_PER_YEAR = 365 * 86400
UTILIZATION = 0.5
SAMPLE = 3  # a third of it is a zone
FEWEST = 3  # one for each zone


@dataclass(frozen=True)
class Company:
    """Assumptions; each of them is to be replaced by what is known."""

    customers: float = 50e6
    contacts_per_year: float = 4.0  # of one customer, that reach the bot
    requests_per_contact: float = 5.0
    peak_factor: float = 5.0  # the busiest minute of a usual week over the mean
    emergency_factor: float = 10.0  # beside it, when something has happened to all

    @property
    def mean_rate(self) -> float:
        """Return the requests per second on average."""
        return (
            self.customers * self.contacts_per_year * self.requests_per_contact / SECONDS_PER_YEAR
        )

    @property
    def rates(self) -> dict[str, float]:
        """Return the requests per second of a mean, a busy and an exceptional minute."""
        busy = self.mean_rate * self.peak_factor
        return {"mean": self.mean_rate, "busy": busy, "emergency": busy * self.emergency_factor}


# four in ten requests go on from what was said before, and nobody else asks them
TRAFFIC = Traffic(rate=1.0, questions=100_000, exponent=1.0, fresh_share=0.4)


def size(rate: float, costs: Costs, traffic: Traffic = TRAFFIC, cores: float = 2.0) -> Need:
    """Return what a rate needs at the usual utilization."""
    plan = FleetPlan(FEWEST, cores=cores)
    return find_need(plan, replace(traffic, rate=rate), costs, UTILIZATION)


def to_plan(need: Need, cores: float = 2.0) -> FleetPlan:
    return FleetPlan(
        max(FEWEST, need.replicas), SAMPLE, cores=cores, redis_shards=max(1, need.redis_shards)
    )
