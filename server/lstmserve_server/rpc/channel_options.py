"""What grpc is told of connections: how large, how many, how long, and with which certificate.

Names and meanings: grpc/impl/channel_arg_names.h, and doc/keepalive.md, of gRPC Core.
"""

from __future__ import annotations

import grpc

from lstmserve_server.config import ServerConfig, WireConfig
from lstmserve_server.tls.certificates import Certificates
from lstmserve_server.tls.material import Material

# requests above rpc.wire's limit, which is lower, are refused by name; above this one by grpc
MAX_MESSAGE_BYTES = 4 << 20
MAX_PENDING_CALLS = 1 << 16
# of a call: above the first it may be refused, above the second it is. An honest call has some
# hundred bytes, with a token of 4 KiB at most
METADATA_BYTES = 8 << 10
MAX_METADATA_BYTES = 16 << 10
# a client that looks after its connection asks every five seconds, also when it has no calls;
# it may come early, but not three times in a row
MIN_PING_MS = 4_000
MAX_PING_STRIKES = 3
NEVER_MS = 2**31 - 1  # to grpc the same as no limit

Options = tuple[tuple[str, int], ...]

ALWAYS: Options = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # by default grpc answers CANCELLED, at random, once a thousand calls have come that nobody
    # has looked at yet: who is refused, and how, is for the engine's admission to say
    ("grpc.server.max_pending_requests", MAX_PENDING_CALLS),
    ("grpc.server.max_pending_requests_hard_limit", MAX_PENDING_CALLS),
    ("grpc.max_metadata_size", METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
    # a caller whose machine or network vanished says nothing: asked every so often, it is found
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # without this one, two pings within two hours are too many while no call is under way
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_MS),
    ("grpc.http2.max_ping_strikes", MAX_PING_STRIKES),
)


def make_options(config: ServerConfig) -> Options:
    """Return the options for ``grpc.aio.server``."""
    return (
        *ALWAYS,
        *_bound(config.wire),
        *_age(config.wire, config.drain.grace_seconds),
        # by default a second server on the same port would silently take half of the calls
        ("grpc.so_reuseport", int(config.reuse_port)),
    )


def _bound(wire: WireConfig) -> Options:
    return (
        ("grpc.max_allowed_incoming_connections", wire.max_connections),
        ("grpc.max_concurrent_streams", wire.max_streams),
        ("grpc.server_handshake_timeout_ms", _to_ms(wire.handshake_seconds)),
        ("grpc.http2.settings_timeout", _to_ms(wire.handshake_seconds)),
        ("grpc.max_connection_idle_ms", _to_ms(wire.idle_seconds)),
    )


def _age(wire: WireConfig, grace_seconds: float) -> Options:
    """Return the options that close old connections; what runs then may go on as in a drain."""
    if not wire.age_seconds:
        return ()
    return (
        ("grpc.max_connection_age_ms", _to_ms(wire.age_seconds)),
        ("grpc.max_connection_age_grace_ms", _to_ms(grace_seconds)),
    )


def _to_ms(seconds: float) -> int:
    return max(1, min(round(seconds * 1000), NEVER_MS))


def make_credentials(certificates: Certificates) -> grpc.ServerCredentials:
    """Return credentials that give every handshake the certificate in force then."""
    served = certificates.current

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        """Return what one handshake needs, on a thread of grpc's; None: as before."""
        nonlocal served
        if certificates.current is served:
            return None
        served = certificates.current
        return _configure(served)

    return grpc.dynamic_ssl_server_credentials(
        _configure(served),
        fetch,  # type: ignore[arg-type]  # grpc's documentation allows None; its types do not
        require_client_authentication=served.files.authority is not None,
    )


def _configure(material: Material) -> grpc.ServerCertificateConfiguration:
    files = material.files
    return grpc.ssl_server_certificate_configuration([(files.key, files.chain)], files.authority)
