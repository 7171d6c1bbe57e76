"""Listens for HTTP: binds at once, takes connections from ``start`` to ``stop``."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from lstmserve_server.config import Address
from lstmserve_server.errors import StartupError
from lstmserve_server.openai_api.protocol import BoundedProtocol, Bounds
from lstmserve_server.openai_api.tls import make_context
from lstmserve_server.tls.certificates import LOOK_SECONDS, Certificates

MAX_HEAD_BYTES = 16 << 10
BACKLOG = 1024
HANDSHAKE_SECONDS = 10.0
STOP_SECONDS = 1.0  # for responses that are whole to be taken
# a client whose machine or network has vanished is found by the kernel
VANISHED_MS = 30_000
Application = Callable[..., Awaitable[None]]


class Listener:
    """One HTTP port."""

    def __init__(self, address: Address, *, is_shared: bool) -> None:
        """Bind; ``is_shared`` with other processes of this server. Raises StartupError."""
        try:
            self._socket = _bind(address, is_shared=is_shared)
        except OSError as error:
            raise _cannot_listen(address, error) from None
        self.address = Address(address.host, self._socket.getsockname()[1])
        self._state = ServerState()
        self._server: asyncio.Server | None = None
        self._following: asyncio.Task[None] | None = None
        self._none_left = asyncio.Event()

    async def start(
        self,
        application: Application,
        bounds: Bounds,
        idle_seconds: float,
        certificates: Certificates | None,
    ) -> None:
        """Take connections: in clear without ``certificates``."""
        self._config = _configure(application, idle_seconds)
        self._bounds = bounds
        context = None if certificates is None else make_context(certificates.current)
        try:
            self._server = await self._serve(context)
        except OSError as error:  # another socket that is bound there has begun to listen
            raise _cannot_listen(self.address, error) from None
        if certificates is not None:
            self._following = asyncio.create_task(self._follow(certificates))

    async def stop(self) -> None:
        """Take no further connections, and close those there are once their responses are sent."""
        if self._following is not None:
            self._following.cancel()
        if self._server is not None:
            self._server.close()
        self._socket.close()
        for connection in [*self._state.connections]:
            connection.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                while self._state.connections:
                    self._none_left.clear()
                    await self._none_left.wait()
        for connection in [*self._state.connections]:
            connection.transport.abort()

    def close(self) -> None:
        """Give up the port of a server that was never started."""
        self._socket.close()

    async def _serve(self, context: ssl.SSLContext | None) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(
            self._make_protocol,
            sock=self._socket.dup(),  # the port stays when the server on it changes
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if context else None,
            backlog=BACKLOG,
        )

    def _make_protocol(self) -> BoundedProtocol:
        return BoundedProtocol(self._config, self._state, self._bounds, self._on_lost)

    def _on_lost(self) -> None:
        if not self._state.connections:
            self._none_left.set()

    async def _follow(self, certificates: Certificates) -> None:
        """Give new connections what is in force; others go on as they began."""
        served = certificates.current
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if certificates.current is served:
                continue
            served = certificates.current
            before, self._server = self._server, await self._serve(make_context(served))
            if before is not None:
                before.close()


def _cannot_listen(address: Address, error: OSError) -> StartupError:
    return StartupError(f"--http-listen: cannot listen on {address}: {error.strerror or error}")


def _configure(application: Application, idle_seconds: float) -> Config:
    return Config(
        application,
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error",  # what clients send is no news
        access_log=False,  # the calls that requests become are logged
        date_header=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=idle_seconds,  # type: ignore[arg-type]  # it goes to call_later
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )


def _bind(address: Address, *, is_shared: bool) -> socket.socket:
    family, *_, place = min(socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM))
    made: Any = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(is_shared))
        # accepted connections inherit these
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, VANISHED_MS // 1000)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, VANISHED_MS)
        made.bind(place)
    except OSError:
        made.close()
        raise
    return made  # type: ignore[no-any-return]
