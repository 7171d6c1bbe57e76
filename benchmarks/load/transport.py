"""What carries requests to a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

OnMessage = Callable[[bytes], object]
Metadata = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Status:
    """How an RPC ended: the name of its code, such as ``OK``, and the server's words."""

    code: str
    details: str = ""


class Transport(Protocol):
    """Streams replies; cancelling the task that awaits ``stream`` cancels the RPC."""

    async def stream(
        self, path: str, request: bytes, on_message: OnMessage, metadata: Metadata = ()
    ) -> Status:
        """Send one message, hand over each that comes back, return the status."""

    async def close(self) -> None:
        """Close the connections."""
