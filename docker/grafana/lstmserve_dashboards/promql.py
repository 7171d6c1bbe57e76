"""Expressions in PromQL that are numbers also when nothing happens, where that has a meaning."""

from __future__ import annotations

# what the dashboards' variables choose; "All" is any value
SERVER = 'job=~"$job",instance=~"$instance"'
MODEL = f'{SERVER},model=~"$model",version=~"$version"'
GENERATING = f'{SERVER},rpc=~"Generate|GenerateReply|ModelInfer|ModelStreamInfer"'
BY_MODEL = ("model", "version")
# so many a second are none: one in thirty years
NOTHING = "1e-9"


def select(name: str, where: str, *matchers: str) -> str:
    """The series of one metric."""
    return f"lstmserve_{name}{{{','.join((where, *matchers))}}}"


def rate(name: str, where: str, *matchers: str) -> str:
    """How fast a counter's series grow, per second."""
    return f"rate({select(name, where, *matchers)}[$__rate_interval])"


def total(expr: str) -> str:
    """The sum, which is 0 where there is nothing to sum."""
    return f"(sum({expr}) or vector(0))"


def by(labels: tuple[str, ...] | str, expr: str, how: str = "sum") -> str:
    """One series for each value of these labels."""
    labels = (labels,) if isinstance(labels, str) else labels
    return f"{how} by ({', '.join(labels)}) ({expr})"


def or_none(label: str, expr: str) -> str:
    """A zero named ``none`` as long as there is no series, for things that rarely happen."""
    return f'{expr} or on() label_replace(vector(0), "{label}", "none", "", "")'


def ratio(part: str, whole: str) -> str:
    """A part of a whole: 0, not undefined, when the whole is nothing."""
    return f"{part} / clamp_min({whole}, {NOTHING})"


def share(part: str, whole: str) -> str:
    """Every series of ``part`` as a part of one sum."""
    return f"{part} / scalar(clamp_min({whole}, {NOTHING}))"


def per(amount: str, count: str) -> str:
    """So much for each of them; undefined, so a gap, when there are none."""
    return f"{amount} / ({count} > 0)"


def mean(histogram: str, where: str, labels: tuple[str, ...] | str) -> str:
    """The mean of what a histogram observed; undefined, so a gap, when it observed nothing."""
    observed, count = rate(f"{histogram}_sum", where), rate(f"{histogram}_count", where)
    return per(by(labels, observed), by(labels, count))


def quantile(q: float, histogram: str, where: str, *matchers: str, labels: str = "") -> str:
    """A quantile of what a histogram observed; undefined, so a gap, when it observed nothing."""
    kept = ("le", labels) if labels else ("le",)
    return f"histogram_quantile({q}, {by(kept, rate(f'{histogram}_bucket', where, *matchers))})"
