"""How both clients reach servers: one set of channel options."""

import json
from typing import Any

import grpc

from lstmserve_client.config import ClientConfig
from lstmserve_client.nearness import is_nearby
from lstmserve_client.transport import MAX_MESSAGE_BYTES

ChannelOptions = tuple[tuple[str, Any], ...]

_BALANCED: dict[str, Any] = {
    "loadBalancingConfig": [{"round_robin": {}}]
}  # over all addresses of a name
# servers that drain or load are left out before they refuse anything
_CHECKED = {**_BALANCED, "healthCheckConfig": {"serviceName": ""}}


def channel_options(config: ClientConfig, target: str, *, checked: bool) -> ChannelOptions:
    """Options of gRPC's for a target; ``checked``: only servers that report SERVING are used."""
    options: dict[str, Any] = {
        "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
        "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
        # finds a server that froze or vanished in the middle of a reply
        "grpc.keepalive_time_ms": round(config.keepalive_seconds * 1000),
        "grpc.keepalive_timeout_ms": round(config.keepalive_timeout_seconds * 1000),
        # of any ping; while one is out that measures the network, keepalive sends none
        "grpc.http2.ping_timeout_ms": round(config.keepalive_timeout_seconds * 1000),
        "grpc.http2.max_pings_without_data": 0,  # as many as that takes
        # a connection attempt is given up after that; also the first pause between two
        "grpc.min_reconnect_backoff_ms": 3_000,
        "grpc.initial_reconnect_backoff_ms": 100,
        # a server that was started again is found when it is there
        "grpc.max_reconnect_backoff_ms": 1_000,
        # targets given twice are two connections, to two workers of a server perhaps
        "grpc.use_local_subchannel_pool": 1,
        "grpc.service_config": json.dumps(_CHECKED if checked else _BALANCED),
    }
    if is_nearby(target):  # a proxy would take it for itself, and be told the token in clear
        options["grpc.enable_http_proxy"] = 0
    if config.tls is not None and config.tls.server_name:
        options["grpc.ssl_target_name_override"] = config.tls.server_name
        options["grpc.default_authority"] = config.tls.server_name
    return tuple(options.items())


def channel_credentials(config: ClientConfig) -> grpc.ChannelCredentials | None:
    """TLS as configured; ``None`` for connections in clear."""
    if config.tls is None:
        return None
    return grpc.ssl_channel_credentials(
        root_certificates=config.tls.authority,
        private_key=config.tls.key,
        certificate_chain=config.tls.certificate,
    )
