"""What was observed while Redis answered nothing, as figures."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from benchmarks.cache.caller import Reply
from benchmarks.load.findings import Finding, Target

BEFORE_P99 = Target(25.0)
AFTER_P50 = Target(0.1)
NONE = Target(0)


@dataclass
class Observed:
    """Seconds that a request took longer than where there is no Redis, and what went wrong."""

    healthy: list[float] = field(default_factory=list)
    healthy_together: list[float] = field(default_factory=list)
    # until the breaker opens: those that came together, and those that came one by one
    together: list[float] = field(default_factory=list)
    one_by_one: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    closing: list[float] = field(default_factory=list)  # from SIGCONT on
    answered: int = 0
    failed: int = 0
    changed: int = 0

    def compare(self, reply: Reply, wanted: Reply) -> None:
        """Count a reply, which must be the one that the other server gave."""
        self.answered += 1
        if reply.code != "OK" or wanted.code != "OK":
            self.failed += 1
        elif reply.content != wanted.content:
            self.changed += 1


def describe(observed: Observed) -> list[Finding]:
    def added(name: str, seconds: list[float], p50: Target | None, p99: Target | None) -> None:
        note = f"added, beside a server without Redis; {len(seconds):,} pairs"
        values = np.percentile(np.array(seconds) * 1e3, (50, 99))
        for what, value, target in zip(("p50", "p99"), values, (p50, p99), strict=True):
            findings.append(Finding(f"{name}, {what}", float(value), "ms", target, note))

    findings: list[Finding] = []
    added("Redis well, no hit", observed.healthy, None, None)
    added("Redis well, a burst", observed.healthy_together, None, None)
    added("frozen, a burst before the breaker opens", observed.together, None, BEFORE_P99)
    added("frozen, one by one before it opens", observed.one_by_one, None, BEFORE_P99)
    added("frozen, breaker open", observed.after, AFTER_P50, None)
    closing = np.percentile(observed.closing, (50, 100))
    note = f"{len(observed.closing)} outages; probes come 1, 2, 4 ... s after another"
    findings.append(Finding("breaker closes after SIGCONT, p50", float(closing[0]), "s", note=note))
    findings.append(Finding("breaker closes after SIGCONT, most", float(closing[1]), "s"))
    note = f"of {observed.answered:,}, also under load at the freeze and after it"
    findings.append(Finding("failed RPCs", observed.failed, target=NONE, note=note))
    findings.append(Finding("changed replies", observed.changed, target=NONE, note=note))
    return findings
