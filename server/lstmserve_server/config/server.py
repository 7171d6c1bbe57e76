"""The server as a whole: where it listens, who may connect, its processes, and its parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lstmserve_server.config.address import Address, TextAddress, is_loopback
from lstmserve_server.config.cache import CacheConfig
from lstmserve_server.config.declaring import describe, option
from lstmserve_server.config.models import ConstraintsConfig, EngineConfig, StoreConfig
from lstmserve_server.config.telemetry import TelemetryConfig


@dataclass(frozen=True, slots=True)
class WireConfig:
    """What connections to the gRPC port may take, honest or not."""

    max_connections: int = option(
        4096,
        "Connections to --listen, and to --http-listen, per worker; more are closed.",
        ge=1,
        le=1 << 20,
    )
    # above what an engine keeps, running and waiting: more calls than that are refused with a
    # reason and a delay, where HTTP/2 would have them wait at the caller
    max_streams: int = option(
        2048,
        "Calls under way on one connection; more wait at the caller.",
        name="max_concurrent_streams",
        ge=1,
        le=1 << 20,
    )
    handshake_seconds: float = 10.0  # for TLS, the preface and settings, each
    idle_seconds: float = 300.0  # without a call
    age_seconds: float = option(
        0.0,
        "Close connections older than this, once their calls have ended, or after "
        "--drain-seconds; 0: never.",
        name="max_connection_age_seconds",
        ge=0,
        le=30 * 86400,
    )


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """What the gRPC port proves itself with, and whom it asks for a certificate."""

    certificate: Path = field(
        metadata=describe(
            "PEM file: the server's certificate, then those between it and the authority. It is "
            "read again when it changes.",
            name="tls_certificate",
        )
    )
    key: Path = field(metadata=describe("PEM file: the key of --tls-certificate.", name="tls_key"))
    client_authority: Path | None = option(
        None,
        "PEM file: callers need a certificate of one of these authorities.",
        name="tls_client_authority",
    )


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """Who may call."""

    callers: Path = field(
        metadata=describe(
            "TOML file that says who may call, and what (docs/security.md). It is read again when "
            "it changes. Without it whoever reaches the port may call everything.",
            name="auth_file",
        )
    )


@dataclass(frozen=True, slots=True)
class PageConfig:
    """Whether there is a page at / of the metrics port, and for whom."""

    is_on: bool = False
    is_local: bool = True  # for browsers that know the server by a loopback name


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
    constraints: ConstraintsConfig = field(
        default_factory=ConstraintsConfig, metadata={"title": "Constraints"}
    )
    cache: CacheConfig = field(default_factory=CacheConfig, metadata={"title": "Cache"})
    wire: WireConfig = field(default_factory=WireConfig, metadata={"title": "Connections"})
    tls: TlsConfig | None = field(default=None, metadata={"title": "TLS"})  # None: in clear
    auth: AuthConfig | None = field(  # None: whoever reaches the port may call everything
        default=None, metadata={"title": "Authentication"}
    )
    workers: WorkersConfig = field(default_factory=WorkersConfig, metadata={"title": "Workers"})
    drain: DrainConfig = field(default_factory=DrainConfig, metadata={"title": "Shutdown"})
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig, metadata={"title": "Logs"})
    http_listen: TextAddress | None = option(
        None,
        "HOST:PORT of OpenAI's HTTP API (docs/interoperability.md), for callers without gRPC. Not "
        "given: there is none. It has the certificates, callers and limits of --listen.",
    )
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
