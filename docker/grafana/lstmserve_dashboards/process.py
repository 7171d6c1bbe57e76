"""Panels about the servers themselves."""

from __future__ import annotations

from lstmserve_dashboards.panels import HALF, Limit, Panel, Query, lines, listing, number
from lstmserve_dashboards.promql import MODEL, SERVER, by, or_none, rate, select, total

FIRING = 'ALERTS{alertname=~"Lstmserve.+",alertstate="firing"}'


def servers_up() -> Panel:
    return number(
        "Servers up",
        "Servers that Prometheus can scrape. 0: nobody is served, or Prometheus cannot reach them.",
        "none",
        total(f"up{{{SERVER}}}"),
        Limit(1, is_floor=True),
    )


def alerts() -> Panel:
    return number(
        "Alerts that fire",
        "What Prometheus' rules complain about now, for all servers. Each alert has a run-book in docs/operations.md.",
        "none",
        f"(count({FIRING}) or vector(0))",
        Limit(1),
    )


def memory() -> Panel:
    return lines(
        "Memory",
        "Resident memory of each server, all its processes together, and the highest so far. Both level off soon after the start; steady growth is a leak.",
        "bytes",
        Query(by("instance", select("resident_memory_bytes", SERVER)), "{{instance}}"),
        Query(by("instance", select("peak_memory_bytes", SERVER)), "{{instance}} peak"),
    )


def servers() -> Panel:
    labels = ("job", "instance")
    started = by(labels, select("start_time_seconds", SERVER), "max")
    versions = by((*labels, "server_version", "torch_version"), select("server_info", SERVER))
    return listing(
        "Servers",
        "What runs where, and for how many seconds. A short time that nobody planned is a crash: see the log.",
        f"(time() - {started}) * on (job, instance) group_right () ({versions} > bool 0)",
        "Up (s)",
    )


def engine_restarts() -> Panel:
    restarts = by("reason", rate("engine_restarts_total", MODEL))
    return lines(
        "Engines started again",
        "Per minute, by how the process before ended. Callers saw a pause of a second or two. crash: by a signal of its own. killed: from outside, or where memory ended. error: it failed, or ended by itself. hang: it said nothing for five seconds.",
        "none",
        Query(f"60 * ({or_none('reason', restarts)})", "{{reason}}"),
        stacked=True,
        width=HALF,
    )


def restarts() -> Panel:
    return _events(
        "Workers started again",
        "Per minute. Each restart cut its callers' connections; the log has the reason.",
        "worker_restarts_total",
    )


def dropped_lines() -> Panel:
    return _events(
        "Log lines dropped",
        "Per minute. Whoever reads the log is too slow: requests are unharmed, their lines are lost.",
        "log_lines_dropped_total",
    )


def _events(title: str, description: str, counter: str) -> Panel:
    per_minute = total(f"rate({select(counter, SERVER)}[$__rate_interval])")
    query = Query(f"60 * {per_minute}", "per minute")
    return lines(title, description, "none", query, width=HALF)
