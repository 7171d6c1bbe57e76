"""The HTTP server of OpenAI's API, and the private way from it to this process's gRPC."""

from __future__ import annotations

import tempfile
from pathlib import Path

from lstmserve_server.config import Address, ServerConfig
from lstmserve_server.errors import StartupError
from lstmserve_server.openai_api.application import make_application
from lstmserve_server.openai_api.caller import Caller
from lstmserve_server.openai_api.endpoints import Endpoints
from lstmserve_server.openai_api.listener import Listener
from lstmserve_server.openai_api.protocol import Bounds
from lstmserve_server.tls.certificates import Certificates

MAX_SOCKET_NAME = 107  # bytes, of struct sockaddr_un


class OpenAiServer:
    """Listens where it is told, and calls its own process over a socket of a private folder.

    Over the gRPC port it might reach another worker, and would need a client's certificate.
    """

    def __init__(self, listen: Address, config: ServerConfig) -> None:
        """Take the port; raises StartupError where that cannot be done."""
        self._config = config
        self._folder = _make_folder()
        try:
            self._listener = Listener(listen, is_shared=config.reuse_port)
        except StartupError:
            self._folder.cleanup()
            raise
        self._caller: Caller | None = None

    @property
    def address(self) -> Address:
        return self._listener.address

    @property
    def target(self) -> str:
        """Where the gRPC server has to listen besides."""
        return f"unix:{_socket_in(self._folder.name)}"

    async def start(self, certificates: Certificates | None) -> None:
        """Answer: the gRPC server does now."""
        wire = self._config.wire
        self._caller = Caller(self.target)
        await self._listener.start(
            make_application(Endpoints(self._caller)),
            Bounds(wire.max_connections),
            wire.idle_seconds,
            certificates,
        )

    async def stop(self) -> None:
        """Close all connections; what ran on them has ended, or ends now."""
        await self._listener.stop()
        if self._caller is not None:
            await self._caller.close()

    def close(self) -> None:
        """Leave nothing behind."""
        self._listener.close()
        self._folder.cleanup()


def _make_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="lstmserve-", ignore_cleanup_errors=True)
    except OSError as error:
        raise StartupError(
            f"--http-listen: needs a folder for a socket, and none can be made: {error.strerror}; "
            "give one in TMPDIR"
        ) from None
    if len(_socket_in(folder.name).encode()) > MAX_SOCKET_NAME:
        folder.cleanup()
        raise StartupError(
            f"--http-listen: needs a folder for a socket, and the name of {folder.name} is too "
            "long for that; give a shorter one in TMPDIR"
        )
    return folder


def _socket_in(folder: str) -> str:
    return str(Path(folder, "grpc"))
