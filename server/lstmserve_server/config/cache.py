"""What is kept of replies and prompt states, in process and in Redis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lstmserve_server.config.declaring import option

MAX_BYTES = 1 << 40
DAY_SECONDS = 86400


@dataclass(frozen=True, slots=True)
class RedisConfig:
    """How Redis is reached, and what it may cost."""

    url: str = option(
        "",
        "Redis 6.2 or later, or Valkey, behind the cache: redis://, rediss://, unix:///path, "
        "redis+sentinel://host:port,host:port/service/db, redis+cluster://host:port,host:port, "
        "or rediss+ forms, with ?ssl_ca_certs=FILE for a private authority (docs/cache.md). Give "
        "a URL with a password in the environment, where ps does not show it.",
        name="redis_url",
        is_secret=True,
    )
    prefix: str = option(
        "lstmserve",
        "What every key in Redis begins with.",
        name="redis_prefix",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
    )
    budget_ms: float = option(
        20.0,
        "The longest that a lookup may take in Redis, connecting included. A request looks "
        "for its reply and, if Redis answers that, for the state of its conversation.",
        name="redis_budget_ms",
        ge=1,
        le=10_000,
    )
    max_connections: int = option(
        32,
        "Connections to Redis per process; one more listens for purges.",
        name="redis_connections",
        ge=1,
        le=1024,
    )
    max_queued_writes: int = 1024
    breaker_failures: int = 5  # in a row, until Redis is left alone
    breaker_seconds: float = 1.0  # until it is asked again, the first time

    @property
    def budget_seconds(self) -> float:
        """The longest that an operation may take, connecting included."""
        return self.budget_ms / 1000


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """What is kept of replies and states, and for how long."""

    reply_bytes: int = option(
        64 << 20,
        "Bytes that replies kept in process may take, all that holds them included; the most "
        "frequent stay. 0 without --redis-url: no cache at all.",
        name="cache_bytes",
        ge=0,
        le=MAX_BYTES,
    )
    state_bytes: int = option(
        32 << 20,
        "Bytes that prompt states kept in process may take, all that holds them included; the "
        "latest stay. One takes 9 KB for support-en.",
        name="state_cache_bytes",
        ge=0,
        le=MAX_BYTES,
    )
    threshold: int = option(
        2,
        "Keep a reply once it was asked for this many times within the window. With Redis, "
        "requests to all servers that share it count; 1 keeps everything.",
        name="cache_threshold",
        ge=1,
        le=100,
    )
    window_seconds: float = option(
        3600.0,
        "The window of --cache-threshold. Very many different questions shorten it "
        "(docs/cache.md); what is older than two windows never counts.",
        name="cache_window_seconds",
        ge=1,
        le=30 * DAY_SECONDS,
    )
    ttl_seconds: float = option(
        86400.0,
        "How long replies and states are kept, in Redis and in each process. One that another "
        "server takes from Redis is kept there for as long again.",
        name="cache_ttl_seconds",
        ge=1,
        le=365 * DAY_SECONDS,
    )
    variants: int = option(
        8,
        "Different replies to a sampled request without a seed.",
        name="cache_variants",
        ge=1,
        le=64,
    )
    scope: Literal["shared", "caller"] = option(
        "shared",
        "caller: no caller (x-caller-id) gets, joins or can time what was kept for another; "
        "callers without an x-caller-id are one. With --auth-file a caller is a principal "
        "together with the x-caller-id that it sends, and a principal may have a cache of its "
        "own (docs/security.md).",
        name="cache_scope",
    )
    state_stride_tokens: int = option(
        64,
        "States are kept at the ends of turns and also every so many tokens of a prompt, for "
        "prompts that begin alike.",
        ge=16,
        le=65536,
    )
    redis: RedisConfig | None = field(default=None, metadata={"title": "Redis"})

    @property
    def is_on(self) -> bool:
        """Whether there is anywhere to keep replies; if not, everything is generated."""
        return self.reply_bytes > 0 or self.redis is not None

    @property
    def is_per_caller(self) -> bool:
        """Whether callers do not share entries."""
        return self.scope == "caller"
