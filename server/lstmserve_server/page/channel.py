"""The page's connection to the gRPC port, which it does not trust more than others do."""

from __future__ import annotations

import grpc

from lstmserve_server.config import Address
from lstmserve_server.tls.material import Material

OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # whatever proxy the environment names
    # a worker that is started again is found when it is there, not two minutes later
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


def open_channel(server: Address, material: Material | None) -> grpc.Channel:
    """In clear without ``material``; else only a server that proves to have its certificate.

    It is the one certificate trusted, whatever authority it is of, and goes by one of its own
    names: the address called is a loopback one, which stands in hardly any certificate. Where
    clients need one too, it is shown: the page is the server itself.
    """
    if material is None:
        return grpc.insecure_channel(str(server), OPTIONS)
    files = material.files
    pair = (None, None) if files.authority is None else (files.key, files.chain)
    credentials = grpc.ssl_channel_credentials(files.chain, *pair)
    # any name that *.example.com is for
    name = material.names[0].replace("*", "lstmserve")
    options = (*OPTIONS, ("grpc.ssl_target_name_override", name))
    return grpc.secure_channel(str(server), credentials, options)
