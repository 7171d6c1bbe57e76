"""How far the simulation is off: medians of repeated runs, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from math import isnan, nan
from statistics import median

from benchmarks.capacity.twin import Figures, Loaded

CLOSE = 0.2
NAMES = {
    "requests": "requests/s",
    "first_p50": "first token p50",
    "first_p99": "p99",
    "reply_p50": "reply p50",
    "reply_p99": "p99",
}


@dataclass(frozen=True)
class Compared:
    """One load, measured and simulated."""

    loaded: Loaded
    simulated: Figures


@dataclass(frozen=True)
class Row:
    """All repeats of one load."""

    replicas: int
    is_kept: bool
    rate: float
    utilization: float
    others: float
    load_average: float
    values: dict[str, tuple[float, float]]  # measured and simulated, by name

    def is_close(self, name: str) -> bool:
        measured, simulated = self.values[name]
        return abs(simulated - measured) <= CLOSE * measured


def summarize(found: Sequence[Compared]) -> list[Row]:
    """Return the median of the repeats of each load."""

    def load(one: Compared) -> tuple[int, bool, float]:
        return one.loaded.replicas, one.loaded.is_kept, one.loaded.rate

    return [
        _to_row(*which, [*repeats]) for which, repeats in groupby(sorted(found, key=load), key=load)
    ]


def _to_row(replicas: int, is_kept: bool, rate: float, repeats: list[Compared]) -> Row:
    values = {
        name: (
            _median(asdict(one.loaded.measured)[name] for one in repeats),
            _median(asdict(one.simulated)[name] for one in repeats),
        )
        for name in NAMES
    }
    used, others, load_average = (
        _median(getattr(one.loaded, name) for one in repeats)
        for name in ("utilization", "others", "load_average")
    )
    return Row(replicas, is_kept, rate, used, others, load_average, values)


def _median(values: Iterable[float]) -> float:
    """Return the median of those that were observed: a run may be without any reply."""
    observed = [value for value in values if not isnan(value)]
    return median(observed) if observed else nan


def to_markdown(rows: Sequence[Row]) -> str:
    """Return a table: measured / simulated, bold where they are within a fifth."""
    header = ["replicas", "replies", "used", "others", "load", *NAMES.values()]
    lines = [header, ["---"] * len(header), *map(_to_cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n\n" + _count(rows) + "\n"


def _to_cells(row: Row) -> list[str]:
    kind = "may be kept" if row.is_kept else "all generated"
    head = [str(row.replicas), kind, f"{row.utilization:.0%}", f"{row.others:.1f}"]
    head.append(f"{row.load_average:.0f}")
    return [*head, *_compare(row)]


def _compare(row: Row) -> Iterator[str]:
    for name, (measured, simulated) in row.values.items():
        both = f"{measured:,.0f} / {simulated:,.0f}"
        yield f"**{both}**" if row.is_close(name) else both


def _count(rows: Sequence[Row]) -> str:
    parts = []
    for name, title in zip(NAMES, ("requests/s", "first token p50", "first token p99",
                                   "reply p50", "reply p99"), strict=True):  # fmt: skip
        close = sum(row.is_close(name) for row in rows)
        parts.append(f"{title} {close} of {len(rows)}")
    return f"Within {CLOSE:.0%}: {', '.join(parts)}."
