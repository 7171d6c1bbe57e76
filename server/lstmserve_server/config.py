"""Frozen configuration, one object per part. Reads neither flags nor the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

EVERY_INTERFACE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def nearby(self) -> Address:
        """Where a process on the same machine finds what listens here."""
        return Address("127.0.0.1", self.port) if self.host in EVERY_INTERFACE else self


def is_loopback(host: str) -> bool:
    """Whether a name or an address belongs to this machine alone, whoever looks it up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return False


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
    measured_tokens_per_second: float = 32.0  # scored for quality, at most about; 0: none


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where models are, and which one answers by default."""

    folder: Path
    default_model: str = ""  # empty: as the store says
    torch_threads: int = 1
    version_policy: str = "latest"  # as store.version_policy reads it
    poll_seconds: float = 2.0  # between two looks at the store; 0: it is looked at when told
    traffic: str = ""  # as store.shares reads it
    stored_default: str = ""  # what the store said when the supervisor started
    allow_inexact: bool = False  # versions that are not exact are served, one reply at a time


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
class TracingConfig:
    """Where OpenTelemetry traces of RPCs go, and of how many."""

    endpoint: str  # of a collector, OTLP over gRPC
    ratio: float = 1.0  # of the calls whose callers have not decided


@dataclass(frozen=True, slots=True)
class TelemetryConfig:
    """What is told of calls besides metrics and a log line."""

    is_text_logged: bool = False  # prompts and replies, redacted
    tracing: TracingConfig | None = None


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
class PageConfig:
    """Whether there is a page at / of the metrics port, and for whom."""

    is_on: bool = False
    is_local: bool = True  # for browsers that know the server by a loopback name


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """What the gRPC port proves itself with, and whom it asks for a certificate; PEM files."""

    certificate: Path  # the server's, followed by those between it and the authority
    key: Path
    client_authority: Path | None = None  # clients need a certificate of it


@dataclass(frozen=True, slots=True)
class WireConfig:
    """What connections to the gRPC port may take, honest or not."""

    max_connections: int = 4096
    # of one connection. Above what an engine keeps, running and waiting: more calls than that
    # are refused with a reason and a delay, where HTTP/2 would have them wait at the caller
    max_streams: int = 2048
    handshake_seconds: float = 10.0  # for TLS, the preface and settings, each
    idle_seconds: float = 300.0  # without a call
    age_seconds: float = 0.0  # until callers are told to connect again; 0: never


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """Who may call."""

    callers: Path  # a file, as auth.callers_file reads it


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
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
    page: PageConfig = field(default_factory=PageConfig)
    wire: WireConfig = field(default_factory=WireConfig)
    tls: TlsConfig | None = None  # None: in clear
    auth: AuthConfig | None = None  # None: whoever reaches the port may call everything
    reuse_port: bool = False  # other processes of this server listen at the same address
