"""Every option of the server: its default, its bounds and what it is for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, CliToggleFlag, SettingsConfigDict

from lstmserve_server.config import (
    AuthConfig,
    CacheConfig,
    DrainConfig,
    EngineConfig,
    PageConfig,
    RedisConfig,
    ServerConfig,
    StoreConfig,
    TelemetryConfig,
    TlsConfig,
    TracingConfig,
    WireConfig,
    WorkersConfig,
    is_loopback,
)
from lstmserve_server.errors import StartupError
from lstmserve_server.option_types import (
    AddressText,
    PolicyText,
    RedisUrl,
    TraceEndpoint,
    TrafficText,
    parse_address,
)

ENV_PREFIX = "LSTMSERVE_"
SWITCHES = frozenset({"allow_inexact", "insecure"})
# what is given for these is not repeated in errors: it may hold a password
SECRET_OPTIONS = frozenset({"redis_url", "trace_endpoint"})


class Settings(BaseSettings):
    """Serves the models of a store over gRPC.

    Every option may also be set in the environment (LSTMSERVE_MODEL_STORE for
    --model-store) or in the TOML file that --config names; a flag wins over the
    environment, and the environment over the file.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        extra="forbid",
        frozen=True,
        cli_kebab_case=True,
        cli_prog_name="lstmserve-server",
        cli_hide_none_type=True,
        cli_avoid_json=True,
        cli_exit_on_error=False,  # argparse would print its usage first
    )

    config: Path | None = Field(None, description="TOML file with any of these options.")
    listen: AddressText = Field(
        "127.0.0.1:50051",
        description="HOST:PORT of the gRPC service; port 0 lets the system choose.",
    )
    insecure: CliToggleFlag[bool] = Field(
        False,
        description="Listen on a public address without TLS or without authentication: whoever "
        "reaches the port reads and calls everything. Only for networks that keep strangers away.",
    )
    tls_certificate: Path | None = Field(
        None,
        description="PEM file: the server's certificate, then its issuers up to the authority's; "
        "read again when it changes.",
    )
    tls_key: Path | None = Field(None, description="PEM file: the key of --tls-certificate.")
    tls_client_authority: Path | None = Field(
        None, description="PEM file: callers need a certificate of one of these authorities."
    )
    max_connections: int = Field(
        4096, ge=1, le=1 << 20, description="Connections to --listen, per worker; more are closed."
    )
    max_concurrent_streams: int = Field(
        2048,
        ge=1,
        le=1 << 20,
        description="Calls under way on one connection; more wait at the caller.",
    )
    max_connection_age_seconds: float = Field(
        0.0,
        ge=0,
        le=30 * 86400,
        description="A connection so old is closed when its calls have ended, or after "
        "--drain-seconds; 0: never.",
    )
    metrics_listen: AddressText = Field(
        "127.0.0.1:9464",
        description="HOST:PORT of the Prometheus metrics, at /metrics, and of the page.",
    )
    auth_file: Path | None = Field(
        None,
        description="TOML file of those who may call, and what (docs/security.md); it is read "
        "again when it changes. Without it whoever reaches the port may call everything.",
    )
    model_store: Path = Field(
        Path("model_store"), description="Folder that holds <model>/<version>/manifest.json."
    )
    default_model: str = Field(
        "",
        description="Model that answers requests naming none; empty: the one that the store's file "
        "DEFAULT_MODEL names, else the only one there is.",
    )
    version_policy: PolicyText = Field(
        "latest",
        description="Versions to serve: latest, latest:N, all, or numbers with commas, for all "
        "models, and after that for single ones: 'latest:2 support-en=3,4'.",
    )
    poll_seconds: float = Field(
        2.0,
        ge=0,
        le=86400,
        description="Time between two looks for new versions; 0: only when told to load one.",
    )
    traffic: TrafficText = Field(
        "",
        description="Weights of versions for requests that name none: 'support-en=2:90,3:10'; "
        "empty: the newest gets all.",
    )
    allow_inexact: CliToggleFlag[bool] = Field(
        False,
        description="Serve also versions whose replies are not bit for bit a function of their "
        "requests: one reply at a time, neither kept, shared nor resumed. Without it they are "
        "refused.",
    )
    max_running: int = Field(
        64, ge=1, le=1024, description="Replies generated at the same time, per model."
    )
    max_waiting: int = Field(
        1024,
        ge=0,
        description="Requests without a row kept per model, waiting or parked; more are refused.",
    )
    max_waiting_tokens: int = Field(
        1 << 20,
        ge=1,
        description="The same in tokens: prompt and max_tokens of those that wait.",
    )
    quantum_steps: int = Field(
        8,
        ge=1,
        le=64,
        description="Tokens decoded per reply between two looks at the queue: more is faster, "
        "and coarser.",
    )
    prefill_piece_tokens: int = Field(
        32, ge=1, le=1024, description="Tokens read of each new prompt between two quanta."
    )
    prefill_budget_tokens: int = Field(
        512,
        ge=2,
        description="Tokens read of all new prompts between two quanta: the longest pause of "
        "running replies.",
    )
    park_after_tokens: int = Field(
        256,
        ge=1,
        description="Tokens made ahead of a slow reader before its row is given to others.",
    )
    torch_threads: int = Field(
        1,
        ge=1,
        le=2,
        description="Threads per decode step: two help only with large batches and an idle core; "
        "more would split rows unevenly and change bits.",
    )
    cache_bytes: int = Field(
        64 << 20,
        ge=0,
        le=1 << 40,
        description="Bytes that replies kept in process may take, all that holds them included; 0 "
        "without --redis-url: no cache.",
    )
    state_cache_bytes: int = Field(
        32 << 20,
        ge=0,
        le=1 << 40,
        description="Bytes that prompt states kept in process may take, all that holds them "
        "included.",
    )
    cache_threshold: int = Field(
        2, ge=1, le=100, description="A reply is kept once asked for so often within the window."
    )
    cache_window_seconds: float = Field(
        3600.0,
        ge=1,
        le=30 * 86400,
        description="The window of --cache-threshold; very many different questions "
        "shorten it (docs/cache.md).",
    )
    cache_ttl_seconds: float = Field(
        86400.0,
        ge=1,
        le=365 * 86400,
        description="How long replies and states are kept, in process and in Redis each.",
    )
    cache_variants: int = Field(
        8, ge=1, le=64, description="Different replies to a sampled request without a seed."
    )
    cache_scope: Literal["shared", "caller"] = Field(
        "shared", description="caller: no caller gets what was kept for another."
    )
    state_stride_tokens: int = Field(
        64, ge=16, le=65536, description="States are kept at turns' ends and every so many tokens."
    )
    redis_url: RedisUrl = Field(
        "",
        description="Redis behind the cache: redis://, rediss:// or unix://; redis+sentinel://, "
        "redis+cluster:// and their rediss+ forms. It may hold a password: better in the "
        "environment than on the command line.",
    )
    redis_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = Field(
        "lstmserve", description="What every key in Redis begins with."
    )
    redis_budget_ms: float = Field(
        20.0, ge=1, le=10_000, description="The longest that a lookup may take in Redis."
    )
    redis_connections: int = Field(32, ge=1, le=1024, description="Connections to Redis.")
    drain_seconds: float = Field(
        30.0, ge=0, le=3600, description="How long running replies may finish after SIGTERM."
    )
    drain_notice_seconds: float = Field(
        0.5, ge=0, le=60, description="Time between NOT_SERVING and the refusal of new calls."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe log lines to write; may be changed while the server runs."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: readable on a terminal, JSON elsewhere."
    )
    log_prompts: Literal["off", "redacted"] = Field(
        "off",
        description="redacted: prompts and replies are logged, shortened, without addresses, "
        "numbers and secrets as far as patterns find them.",
    )
    trace_endpoint: TraceEndpoint = Field(
        "",
        description="OpenTelemetry collector, http://HOST:PORT or https://HOST:PORT (OTLP over "
        "gRPC); empty: no traces.",
    )
    trace_ratio: float = Field(
        1.0, ge=0, le=1, description="Traced share of the calls whose callers do not decide."
    )
    workers: int = Field(
        1, ge=1, le=128, description="Processes that serve on the same port, each with an engine."
    )
    pin: Literal["auto", "none"] = Field(
        "auto", description="auto: several workers run on cores of their own; none: anywhere."
    )
    page: Literal["auto", "on", "off"] = Field(
        "auto",
        description="The page at / of --metrics-listen, on which anybody who reaches it may try "
        "prompts; auto: on loopback addresses only, and not with --tls-client-authority.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_switches(cls, value: object, info: ValidationInfo) -> object:
        # in a TOML file, where true would count as the number 1
        if isinstance(value, bool) and info.field_name not in SWITCHES:
            raise ValueError("must not be true or false")
        return value

    def to_server_config(self) -> ServerConfig:
        """The frozen configuration of the parts."""
        return ServerConfig(
            listen=parse_address(self.listen),
            metrics_listen=parse_address(self.metrics_listen),
            store=StoreConfig(
                self.model_store,
                self.default_model,
                self.torch_threads,
                version_policy=self.version_policy,
                poll_seconds=self.poll_seconds,
                traffic=self.traffic,
                allow_inexact=self.allow_inexact,
            ),
            engine=EngineConfig(
                max_running=self.max_running,
                max_waiting=self.max_waiting,
                max_waiting_tokens=self.max_waiting_tokens,
                quantum_steps=self.quantum_steps,
                prefill_piece_tokens=self.prefill_piece_tokens,
                prefill_budget_tokens=self.prefill_budget_tokens,
                park_after_tokens=self.park_after_tokens,
            ),
            cache=self._cache_config(),
            drain=DrainConfig(self.drain_seconds, self.drain_notice_seconds),
            workers=WorkersConfig(self.workers, pin=self.pin == "auto"),
            telemetry=TelemetryConfig(
                is_text_logged=self.log_prompts == "redacted", tracing=self._tracing_config()
            ),
            page=self._page_config(),
            wire=WireConfig(
                self.max_connections,
                self.max_concurrent_streams,
                age_seconds=self.max_connection_age_seconds,
            ),
            tls=self._tls_config(),
            auth=AuthConfig(self.auth_file) if self.auth_file else None,
        )

    def _tls_config(self) -> TlsConfig | None:
        pair = {"--tls-certificate": self.tls_certificate, "--tls-key": self.tls_key}
        missing = [option for option, path in pair.items() if path is None]
        if self.tls_certificate is not None and self.tls_key is not None:
            return TlsConfig(self.tls_certificate, self.tls_key, self.tls_client_authority)
        if len(missing) < len(pair) or self.tls_client_authority is not None:
            raise StartupError(f"{' and '.join(missing)}: missing; TLS needs certificate and key")
        return None

    def _page_config(self) -> PageConfig:
        is_loopback_address = is_loopback(parse_address(self.metrics_listen).host)
        # where callers need certificates, nobody gets round that by calling through the page
        is_by_default = is_loopback_address and self.tls_client_authority is None
        return PageConfig(
            is_on=self.page == "on" or (self.page == "auto" and is_by_default),
            is_local=self.page == "auto",
        )

    def _tracing_config(self) -> TracingConfig | None:
        if not self.trace_endpoint:
            return None
        return TracingConfig(self.trace_endpoint, self.trace_ratio)

    def _cache_config(self) -> CacheConfig:
        return CacheConfig(
            reply_bytes=self.cache_bytes,
            state_bytes=self.state_cache_bytes,
            threshold=self.cache_threshold,
            window_seconds=self.cache_window_seconds,
            ttl_seconds=self.cache_ttl_seconds,
            variants=self.cache_variants,
            is_per_caller=self.cache_scope == "caller",
            state_stride_tokens=self.state_stride_tokens,
            redis=self._redis_config() if self.redis_url else None,
        )

    def _redis_config(self) -> RedisConfig:
        return RedisConfig(
            self.redis_url,
            prefix=self.redis_prefix,
            budget_seconds=self.redis_budget_ms / 1000,
            max_connections=self.redis_connections,
        )
