"""TLS as the gRPC port has it: the same certificate, and the same authority of clients."""

from __future__ import annotations

import os
import ssl

from lstmserve_server.tls.material import Material


def make_context(material: Material) -> ssl.SSLContext:
    """Return the context of a server that proves itself with this."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load(context, material.files.chain + b"\n" + material.files.key)
    if material.files.authority is not None:
        context.load_verify_locations(cadata=material.files.authority.decode("ascii"))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """Load what was checked: the files may be others by now, and OpenSSL takes names alone."""
    descriptor = os.memfd_create("lstmserve-tls", os.MFD_CLOEXEC)
    with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - it has no path
        file.write(pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
