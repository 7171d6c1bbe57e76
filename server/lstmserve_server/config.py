"""Frozen configuration, one object per part. Reads neither flags nor the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Bounds of one model's engine."""

    max_running: int = 64  # rows of the running batch
    max_waiting: int = 1024  # requests without a row: waiting for one, or set aside
    max_waiting_tokens: int = 1 << 20  # prompt tokens and max_tokens of what waits
    quantum_steps: int = 8  # tokens per row between two looks at the queue
    prefill_piece_tokens: int = 32  # tokens read of one prompt between two quanta
    prefill_budget_tokens: int = 512  # tokens read of all prompts between two quanta
    park_after_tokens: int = 256  # tokens made for a reader who has not taken them


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where models are, and which one answers by default."""

    folder: Path
    default_model: str = ""  # empty: the first by name
    torch_threads: int = 1
    versions: tuple[tuple[str, int], ...] = ()  # these alone; empty: the newest of every model


@dataclass(frozen=True, slots=True)
class RedisConfig:
    """How Redis is reached, and what it may cost."""

    url: str = field(repr=False)  # may hold a password
    prefix: str = "lstmserve"  # of every key
    budget_seconds: float = 0.02  # for each operation, connecting included
    max_connections: int = 32
    max_queued_writes: int = 1024
    breaker_failures: int = 5  # in a row, until Redis is left alone
    breaker_seconds: float = 1.0  # until it is asked again, the first time


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """What is kept of replies and states, where, and for how long."""

    reply_bytes: int = 64 << 20  # in process; 0: no replies are kept in process
    state_bytes: int = 32 << 20  # in process; 0: no states are kept in process
    threshold: int = 2  # a reply asked for so often within the window is stored
    window_seconds: float = 3600.0
    ttl_seconds: float = 86400.0
    variants: int = 8  # replies of one sampled request without a seed
    is_per_caller: bool = False  # callers do not share entries
    state_stride_tokens: int = 64  # a state is kept every so many tokens of a prompt
    redis: RedisConfig | None = None

    @property
    def is_on(self) -> bool:
        """Whether there is anywhere to keep replies; if not, everything is generated."""
        return self.reply_bytes > 0 or self.redis is not None


@dataclass(frozen=True, slots=True)
class DrainConfig:
    """How the server shuts down."""

    grace_seconds: float = 30.0  # for replies that run
    notice_seconds: float = 0.5  # between NOT_SERVING and the refusal of new calls


@dataclass(frozen=True, slots=True)
class WorkersConfig:
    """How many processes serve, and where."""

    count: int = 1
    pin: bool = True  # each to cores of its own, when there are several


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Everything the composition root needs."""

    listen: Address
    metrics_listen: Address
    store: StoreConfig
    engine: EngineConfig = field(default_factory=EngineConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    drain: DrainConfig = field(default_factory=DrainConfig)
    workers: WorkersConfig = field(default_factory=WorkersConfig)
    reuse_port: bool = False  # other processes of this server listen at the same address
