"""How both clients reach a server: one set of channel options."""

DEFAULT_TARGET = "127.0.0.1:50051"
DEFAULT_TIMEOUT_SECONDS = 60.0

# a reply of 4,096 tokens with 20 log-probabilities each takes about 2 MB; servers refuse
# requests of more than 4 MiB unless told otherwise
MAX_MESSAGE_BYTES = 4 * 1024 * 1024

CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # finds a server that vanished in the middle of a reply; pings more frequent than one a
    # minute make some servers and proxies close the connection
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 0),
)
