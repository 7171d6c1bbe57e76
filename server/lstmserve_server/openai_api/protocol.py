"""HTTP/1.1 by uvicorn, with the bounds that it leaves out (docs/log.md).

uvicorn waits for ever for a request that never ends, and for a client that takes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import h11
import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from lstmserve_server.openai_api.errors import ApiError
from lstmserve_server.rpc.metadata import REQUEST_ID_KEY, choose_request_id

REQUEST_SECONDS = 10.0  # from the first byte of a request to its last
BLOCK_SECONDS = 30.0  # for a client to take what is waiting for it
COMING = (h11.IDLE, h11.SEND_BODY)  # states of a client whose request is not whole
CHEAP = ("GET", "HEAD")  # methods of requests for which nothing is generated
UNANSWERED = (h11.IDLE, h11.SEND_RESPONSE)  # states of a server that may still answer


@dataclass(frozen=True, slots=True)
class Bounds:
    """What connections may take, honest or not."""

    max_connections: int
    request_seconds: float = REQUEST_SECONDS
    block_seconds: float = BLOCK_SECONDS


class BoundedProtocol(H11Protocol):
    """One connection."""

    def __init__(
        self, config: Config, state: ServerState, bounds: Bounds, on_lost: Callable[[], object]
    ) -> None:
        super().__init__(config, state, {})
        self._bounds = bounds
        self._on_lost = on_lost
        self._request_clock: asyncio.TimerHandle | None = None
        self._block_clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._bounds.max_connections:
            transport.abort()
        else:
            self._watch_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_request_clock()
        self._stop_block_clock()
        super().connection_lost(exc)
        self._on_lost()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_request()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Return whether to go on: a client that sends no more gets what costs nothing to make.

        It looks like one that has left, for whom no reply is generated.
        """
        cycle: Any = self.cycle
        is_waiting = cycle is not None and not cycle.response_complete
        # over TLS a connection is closed whatever this says
        if not is_waiting or self.scheme != "http" or self.scope["method"] not in CHEAP:
            return False
        cycle.keep_alive = False
        return True

    def on_response_complete(self) -> None:
        super().on_response_complete()  # and begins with a request that has come meanwhile
        self._watch_request()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words for it
        """Answer what is no HTTP; uvicorn would, also where an answer has begun."""
        reason = "this is no request of HTTP/1.1, or its head is too long"
        self._refuse(ApiError(400, reason, code="invalid_http"))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._block_clock = self.loop.call_later(self._bounds.block_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_block_clock()

    @property
    def _has_begun(self) -> bool:
        """Whether a part of a request has come."""
        return self.conn.their_state is h11.SEND_BODY or bool(self.conn.trailing_data[0])

    def _watch_request(self) -> None:
        """Bound the time of a request; between two the bound of idle connections is in force."""
        is_idle = self.timeout_keep_alive_task is not None and not self._has_begun
        if self.conn.their_state not in COMING or is_idle or self.transport.is_closing():
            self._stop_request_clock()
        elif self._request_clock is None:
            seconds = self._bounds.request_seconds
            self._request_clock = self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        if self._has_begun:
            reason = f"the request did not arrive within {self._bounds.request_seconds:g} s"
            self._refuse(ApiError(408, reason, code="request_timeout"))
        else:
            self.transport.close()

    def _refuse(self, error: ApiError) -> None:
        """Answer the request that is coming, unless it has an answer, and hang up."""
        cycle: Any = self.cycle
        if cycle is not None:
            cycle.disconnected = True  # whatever it has to say is said here
        if self.conn.our_state in UNANSWERED:
            self.transport.write(_write_answer(error))
        self.transport.close()

    def _stop_request_clock(self) -> None:
        if self._request_clock is not None:
            self._request_clock.cancel()
            self._request_clock = None

    def _stop_block_clock(self) -> None:
        if self._block_clock is not None:
            self._block_clock.cancel()
            self._block_clock = None


def _write_answer(error: ApiError) -> bytes:
    body = msgspec.json.encode(error.body)
    head = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\nconnection: close\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        f"{REQUEST_ID_KEY}: {choose_request_id(())}\r\n\r\n"  # its own one cannot be read
    )
    return head.encode() + body
