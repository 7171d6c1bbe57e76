"""The figures of a cache, for a person."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstmserve_client.console import write
from lstmserve_client.types import CacheEntryKind, CacheStats, CacheStoreStats, RedisStats

_KINDS = {
    CacheEntryKind.REPLY: "replies",
    CacheEntryKind.STATE: "states",
    CacheEntryKind.UNKNOWN: "(unknown)",  # which only a newer server keeps
}
_NOT_COUNTED = "-"
_STEP = 1024
_UNITS = ("B", "KiB", "MiB", "GiB")


def show_cache_stats(stats: CacheStats) -> None:
    """A table of stores, and what is counted or set for all of them."""
    if not stats.enabled:
        write("no cache is configured: every reply is generated\n")
        return
    console = Console(highlight=False)
    console.print(_stores_table(stats))
    console.print(_facts_table(stats))


def _stores_table(stats: CacheStats) -> Table:
    """A column per store and kind: four of them fit on a terminal, ten figures would not."""
    table = Table("")
    for store in stats.stores:
        table.add_column(Text(f"{store.store} {_KINDS[store.kind]}"), justify="right")
    columns = [_figures(store) for store in stats.stores]
    for name in columns[0] if columns else ():
        table.add_row(name, *(figures[name] for figures in columns))
    return table


def _figures(store: CacheStoreStats) -> dict[str, str]:
    in_memory = store.store == "memory"  # what Redis holds is not counted
    return {
        "hits": f"{store.hits:,}",
        "misses": f"{store.misses:,}",
        "failures": f"{store.failures:,}",
        "hit ratio": _NOT_COUNTED if store.hit_ratio is None else f"{store.hit_ratio:.1%}",
        "stored": f"{store.stored:,}",
        "evicted": f"{store.evicted:,}" if in_memory else _NOT_COUNTED,
        "entries": f"{store.entries:,}" if in_memory else _NOT_COUNTED,
        "size": _size(store.used_bytes) if in_memory else _NOT_COUNTED,
        "at most": _size(store.max_bytes) if in_memory else _NOT_COUNTED,
    }


def _facts_table(stats: CacheStats) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row("seconds saved", f"{stats.saved_seconds:,.3f}")
    table.add_row("coalesced requests", f"{stats.coalesced_requests:,}")
    table.add_row("requests until a reply is stored", f"{stats.threshold:,}")
    table.add_row("replies per unseeded sampled request", f"{stats.variants:,}")
    for name, value in _redis_facts(stats.redis):
        table.add_row(name, Text(value))
    return table


def _redis_facts(redis: RedisStats | None) -> Iterator[tuple[str, str]]:
    if redis is None:
        yield "Redis", "not configured"
        return
    yield "Redis", f"{redis.address}, {'available' if redis.available else 'does not answer'}"
    if redis.available:
        limit = f"of {_size(redis.max_bytes)}" if redis.max_bytes else "without a limit"
        yield "Redis memory in use", f"{_size(redis.used_bytes)} {limit}"
        yield "Redis when full", redis.eviction_policy or "not known"


def _size(num_bytes: int) -> str:
    """In binary units, in which limits are usually given."""
    value = float(num_bytes)
    for unit in _UNITS[:-1]:
        if value < _STEP:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _STEP
    return f"{value:.1f} {_UNITS[-1]}"
