"""Frozen configuration, one object per part: default, bounds, help and type of every option.

Reads neither flags nor the environment; ``settings`` makes options of what is declared here.
"""

from lstmserve_server.config.address import Address, is_loopback, parse_address
from lstmserve_server.config.cache import CacheConfig, RedisConfig
from lstmserve_server.config.models import ConstraintsConfig, EngineConfig, StoreConfig
from lstmserve_server.config.server import (
    AuthConfig,
    DrainConfig,
    PageConfig,
    ServerConfig,
    TlsConfig,
    WireConfig,
    WorkersConfig,
)
from lstmserve_server.config.telemetry import TelemetryConfig, TracingConfig

__all__ = [
    "Address",
    "AuthConfig",
    "CacheConfig",
    "ConstraintsConfig",
    "DrainConfig",
    "EngineConfig",
    "PageConfig",
    "RedisConfig",
    "ServerConfig",
    "StoreConfig",
    "TelemetryConfig",
    "TlsConfig",
    "TracingConfig",
    "WireConfig",
    "WorkersConfig",
    "is_loopback",
    "parse_address",
]
