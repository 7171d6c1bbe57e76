"""The figures of a cache, for a person."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstmserve_client.console import write
from lstmserve_client.types import CacheStats, CacheStoreStats, RedisStats

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
        table.add_column(Text(f"{store.store}\n{store.kind}"), justify="right")
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
    table.add_row("replies to a sampled request without a seed", f"{stats.variants:,}")
    table.add_row("Redis", Text(_redis(stats.redis) if stats.redis else "none is configured"))
    return table


def _redis(redis: RedisStats) -> str:
    if not redis.available:
        return f"{redis.address}, does not answer"
    limit = f"of {_size(redis.max_bytes)}" if redis.max_bytes else "without a limit"
    return (
        f"{redis.address}, {_size(redis.used_bytes)} {limit} in use, "
        f"{redis.eviction_policy or 'unknown policy'} when full"
    )


def _size(num_bytes: int) -> str:
    """In binary units, in which limits are usually given."""
    value = float(num_bytes)
    for unit in _UNITS[:-1]:
        if value < _STEP:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _STEP
    return f"{value:.1f} {_UNITS[-1]}"
