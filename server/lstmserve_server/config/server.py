"""Everything that the composition root needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lstmserve_server.config.address import Address, TextAddress, is_loopback
from lstmserve_server.config.cache import CacheConfig
from lstmserve_server.config.declaring import option
from lstmserve_server.config.models import EngineConfig, StoreConfig
from lstmserve_server.config.network import AuthConfig, PageConfig, TlsConfig, WireConfig
from lstmserve_server.config.telemetry import TelemetryConfig


@dataclass(frozen=True, slots=True)
class DrainConfig:
    """How the server shuts down."""

    grace_seconds: float = option(
        30.0,
        "How long running replies may finish after SIGTERM.",
        name="drain_seconds",
        ge=0,
        le=3600,
    )
    notice_seconds: float = option(
        0.5,
        "Time between NOT_SERVING and the refusal of new calls.",
        name="drain_notice_seconds",
        ge=0,
        le=60,
    )


@dataclass(frozen=True, slots=True)
class WorkersConfig:
    """How many processes serve, and on which cores."""

    count: int = option(
        1,
        "Processes that serve on the same port, each with an engine.",
        name="workers",
        ge=1,
        le=128,
    )
    pin: Literal["auto", "none"] = option(
        "auto", "auto: several workers run on cores of their own; none: anywhere."
    )

    @property
    def is_pinned(self) -> bool:
        """Whether each worker gets cores of its own, when there are several."""
        return self.pin == "auto"


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where the server listens, and the configuration of its parts."""

    listen: TextAddress = option(
        Address("127.0.0.1", 50051), "HOST:PORT of the gRPC service; port 0 lets the system choose."
    )
    metrics_listen: TextAddress = option(
        Address("127.0.0.1", 9464),
        "HOST:PORT of the Prometheus metrics, at /metrics, and of the page.",
    )
    store: StoreConfig = field(default_factory=StoreConfig, metadata={"title": "Models"})
    engine: EngineConfig = field(default_factory=EngineConfig, metadata={"title": "Engine"})
    cache: CacheConfig = field(default_factory=CacheConfig, metadata={"title": "Cache"})
    wire: WireConfig = field(default_factory=WireConfig, metadata={"title": "Connections"})
    tls: TlsConfig | None = field(default=None, metadata={"title": "TLS"})  # None: in clear
    auth: AuthConfig | None = field(  # None: whoever reaches the port may call everything
        default=None, metadata={"title": "Authentication"}
    )
    workers: WorkersConfig = field(default_factory=WorkersConfig, metadata={"title": "Workers"})
    drain: DrainConfig = field(default_factory=DrainConfig, metadata={"title": "Shutdown"})
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig, metadata={"title": "Logs"})
    page: Literal["auto", "on", "off"] = option(
        "auto",
        "The page at / of --metrics-listen, on which anybody who reaches it may try prompts; "
        "auto: on loopback addresses only, and not with --tls-client-authority.",
    )
    is_insecure: bool = option(
        False,
        "Listen on a public address without TLS or without authentication: whoever reaches "
        "the port reads and calls everything. Only for networks that keep strangers away.",
        name="insecure",
    )
    reuse_port: bool = False  # other processes of this server listen at the same address

    @property
    def page_config(self) -> PageConfig:
        """Whether there is a page, and for whom."""
        # where callers need certificates, nobody gets round that by calling through the page
        has_authority = self.tls is not None and self.tls.client_authority is not None
        is_by_default = is_loopback(self.metrics_listen.host) and not has_authority
        return PageConfig(
            is_on=self.page == "on" or (self.page == "auto" and is_by_default),
            is_local=self.page == "auto",
        )
