"""Outcomes as tables."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from benchmarks.capacity.outcome import Outcome


def print_outcome(outcome: Outcome) -> None:
    """Print one run, on standard output."""
    table = Table(show_header=False)
    for name, value in describe(outcome).items():
        table.add_row(name, value)
    Console().print(table)


def describe(outcome: Outcome) -> dict[str, str]:
    first, reply, use = outcome.first_token_ms, outcome.reply_ms, outcome.use
    sources = ", ".join(f"{share:.1%} {name}" for name, share in outcome.sources.items())
    return {
        "requests/s": f"{outcome.requests_per_second:,.0f}",
        "tokens/s, kept ones too": f"{outcome.tokens_per_second:,.0f}",
        "tokens/s, generated": f"{outcome.generated_tokens_per_second:,.0f}",
        "first token, p50, p99, ms": f"{first.p50:,.1f}, {first.p99:,.1f}",
        "whole reply, p50, p99, ms": f"{reply.p50:,.1f}, {reply.p99:,.1f}",
        "replies from": sources,
        "refusals": f"{outcome.refusals:,}",
        "a replica: server's process, engine, of its cores": (
            f"{use.front:.0%}, {use.engine:.0%}, {use.cores:.0%}"
        ),
        "Redis: operations/s, of a shard": (
            f"{use.redis_operations_per_second:,.0f}, {use.redis_shard:.0%}"
        ),
    }
