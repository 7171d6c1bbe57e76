"""Whether a server may listen where it is told to."""

from __future__ import annotations

from lstmserve_server.config import ServerConfig, is_loopback
from lstmserve_server.errors import StartupError

TLS = "TLS (--tls-certificate and --tls-key)"
AUTHENTICATION = "authentication (--auth-file or --tls-client-authority)"


def check_exposure(config: ServerConfig) -> None:
    """Raises StartupError where others could reach a port that is in clear or open to all."""
    missing = _find_missing(config)
    if config.is_insecure or not missing or is_loopback(config.listen.host):
        return
    raise StartupError(
        f"--listen: {config.listen} can be reached from other machines, and there is no "
        f"{' and no '.join(missing)}; give what is missing, or a loopback address "
        f"(127.0.0.1:{config.listen.port}), or --insecure where the network keeps strangers away"
    )


def _find_missing(config: ServerConfig) -> list[str]:
    has_authority = config.tls is not None and config.tls.client_authority is not None
    needs = {TLS: config.tls is not None, AUTHENTICATION: config.auth is not None or has_authority}
    return [need for need, is_met in needs.items() if not is_met]
