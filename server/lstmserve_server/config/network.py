"""Who may connect and call, and what connections may take."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lstmserve_server.config.declaring import describe, option


@dataclass(frozen=True, slots=True)
class WireConfig:
    """What connections to the gRPC port may take, honest or not."""

    max_connections: int = option(
        4096, "Connections to --listen, per worker; more are closed.", ge=1, le=1 << 20
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
