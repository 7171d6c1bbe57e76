"""Numbers as Grafana writes them."""

from __future__ import annotations

THOUSANDS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
BINARY = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
SECONDS = ((60.0, "min", 60.0), (1.0, "s", 1.0), (1e-3, "ms", 1e-3), (0.0, "µs", 1e-6))
SUFFIXES = {"reqps": " req/s", "ops": " ops/s"}


def write_number(value: float, unit: str) -> str:
    """A value in a unit of Grafana's, with three digits."""
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "bytes":
        return _scale(value, BINARY) or f"{value:.3g} B"
    if unit == "s":
        return _write_seconds(value)
    return (_scale(value, THOUSANDS) or f"{value:.3g}") + SUFFIXES.get(unit, "")


def _scale(value: float, steps: tuple[tuple[float, str], ...]) -> str:
    for size, name in steps:
        if abs(value) >= size:
            return f"{value / size:.3g} {name}"
    return ""


def _write_seconds(value: float) -> str:
    if value == 0:
        return "0 s"
    for least, name, size in SECONDS:
        if abs(value) >= least:
            return f"{value / size:.3g} {name}"
    raise AssertionError("every duration is at least 0 µs")
