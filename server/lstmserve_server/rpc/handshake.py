"""What the gRPC port shows those who connect, and asks of them."""

from __future__ import annotations

import grpc

from lstmserve_server.tls.certificates import Certificates
from lstmserve_server.tls.material import Material


def make_credentials(certificates: Certificates) -> grpc.ServerCredentials:
    """Every handshake gets the certificate in force; connections that are made keep theirs."""
    served = certificates.current

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        """For one handshake, on a thread of grpc's; None: as before."""
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
