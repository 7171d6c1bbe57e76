"""The HTTP port: clients that are slow, vanish or send nothing hold nothing and nobody."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from lstmserve_server.config import Address
from lstmserve_server.errors import StartupError
from lstmserve_server.openai_api.listener import Listener
from lstmserve_server.openai_api.protocol import Bounds

WAIT_SECONDS = 30
SOON, NEVER = 0.05, 3600.0
WHOLE = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"


class Echo:
    """An application that answers with what it got, or with blocks that never end."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
        if scope["path"] == "/refused":  # without having read it
            await send({"type": "http.response.start", "status": 413, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left.set()
                return
            body, more = body + message["body"], message["more_body"]
        length = [] if scope["path"] == "/endless" else [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        while scope["path"] == "/endless" and not self.left.is_set():
            watching = asyncio.ensure_future(receive())
            block = {"type": "http.response.body", "body": bytes(1 << 16), "more_body": True}
            sending = asyncio.ensure_future(send(block))
            await asyncio.wait({watching, sending}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                self.left.set()
            watching.cancel()
            await sending
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def listening(
    bounds: Bounds, *, idle_seconds: float = NEVER
) -> AsyncIterator[tuple[Address, Echo]]:
    listener, echo = Listener(Address("127.0.0.1", 0), is_shared=False), Echo()
    await listener.start(echo, bounds, idle_seconds, None)
    try:
        yield listener.address, echo
    finally:
        await listener.stop()


@asynccontextmanager
async def connected(
    address: Address,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            yield reader, writer
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("beginning", "status"),
    [
        (b"", b""),
        (b"POST / HT", b"HTTP/1.1 408 "),
        (b"POST / HTTP/1.1\r\nHost: a", b"HTTP/1.1 408 "),
        (WHOLE[:-1], b"HTTP/1.1 408 "),
        (WHOLE + b"POST", b"HTTP/1.1 200 "),
    ],
)
async def test_a_request_that_does_not_end_is_given_up(beginning: bytes, status: bytes) -> None:
    async with (
        listening(Bounds(9, request_seconds=SOON)) as (address, _),
        connected(address) as (reader, writer),
    ):
        writer.write(beginning)
        answer = await reader.read()
    assert answer.startswith(status)
    assert answer == b"" if not status else b"408" in answer


async def test_a_request_that_has_an_answer_gets_no_other_one() -> None:
    async with (
        listening(Bounds(9, request_seconds=SOON)) as (address, _),
        connected(address) as (reader, writer),
    ):
        writer.write(WHOLE.replace(b"/", b"/refused", 1)[:-1])
        answer = await reader.read()
    assert answer.count(b"HTTP/1.1 ") <= 1  # none or 408 where all that took longer than SOON


async def test_a_byte_now_and_then_gains_no_time() -> None:
    async with (
        listening(Bounds(9, request_seconds=4 * SOON)) as (address, _),
        connected(address) as (reader, writer),
    ):
        writer.write(b"GET / HTTP/1.1\r\nHost: ")
        gone = asyncio.ensure_future(read_to_end(reader))
        while not gone.done():  # it would be there for ever
            writer.write(b"a")
            await asyncio.wait({gone}, timeout=SOON)
    assert (await gone).startswith(b"HTTP/1.1 408 ") or not gone.result()


async def test_an_application_learns_that_its_request_was_given_up() -> None:
    async with (
        listening(Bounds(9, request_seconds=SOON)) as (address, echo),
        connected(address) as (_, writer),
    ):
        writer.write(WHOLE[:-1])
        await asyncio.wait_for(echo.left.wait(), WAIT_SECONDS)


async def test_a_client_that_takes_nothing_is_given_up() -> None:
    async with (
        listening(Bounds(9, block_seconds=SOON)) as (address, echo),
        connected(address) as (_, writer),
    ):
        writer.write(WHOLE.replace(b"/", b"/endless", 1))
        await asyncio.wait_for(echo.left.wait(), WAIT_SECONDS)


async def test_a_client_that_leaves_is_given_up() -> None:
    async with listening(Bounds(9)) as (address, echo):
        async with connected(address) as (reader, writer):
            writer.write(WHOLE.replace(b"/", b"/endless", 1))
            await reader.read(1)
        await asyncio.wait_for(echo.left.wait(), WAIT_SECONDS)


async def test_an_idle_connection_is_closed_and_a_busy_one_is_not() -> None:
    async with (
        # so long that a busy machine does not take the busy connection for an idle one
        listening(Bounds(9, request_seconds=NEVER), idle_seconds=40 * SOON) as (address, _),
        connected(address) as (reader, writer),
    ):
        for _ in range(3):
            writer.write(WHOLE)
            assert (await reader.readuntil(b"hi")).startswith(b"HTTP/1.1 200 ")
        assert await reader.read() == b""


async def test_connections_beyond_the_bound_are_closed_and_places_come_back() -> None:
    async with listening(Bounds(1)) as (address, _):
        async with connected(address) as (reader, writer):
            writer.write(WHOLE)
            await reader.readuntil(b"hi")
            async with connected(address) as (another, _):
                assert await read_to_end(another) == b""
        async with asyncio.timeout(WAIT_SECONDS):
            while not await is_answered(address):  # as soon as it was noticed
                pass


async def is_answered(address: Address) -> bool:
    async with connected(address) as (reader, writer):
        writer.write(WHOLE.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        return (await read_to_end(reader)).endswith(b"hi")


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(StartupError, match="--http-listen: cannot listen on"):
            Listener(address, is_shared=False)
    with pytest.raises(StartupError, match="--http-listen: cannot listen on"):
        Listener(Address("192.0.2.1", 0), is_shared=False)


async def test_it_stops_at_once_with_idle_connections() -> None:
    async with listening(Bounds(9)) as (address, _):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(WHOLE)
        await reader.readuntil(b"hi")
    assert await reader.read() == b""
    writer.close()
