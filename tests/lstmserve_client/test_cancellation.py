"""Leaving a stream early stops the work on the server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lstmserve_client import AsyncClient, Chunk, Client, RequestCancelledError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lstmserve_client import Event
    from support.fake_server import FakeServer

WAIT_SECONDS = 30


@pytest.fixture(autouse=True)
def endless(fake: FakeServer) -> None:
    fake.events.pop()  # no completion
    fake.hangs = True


def test_a_loop_left_early_cancels(fake: FakeServer) -> None:
    with Client(fake.target) as client:
        for event in client.generate("hi"):
            if isinstance(event, Chunk):
                break
        assert fake.cancelled.wait(WAIT_SECONDS)


def test_a_stream_never_read_is_never_asked(fake: FakeServer) -> None:
    with Client(fake.target) as client:
        client.generate("hi").close()
    assert fake.requests == []


def test_closing_the_client_ends_its_streams(fake: FakeServer) -> None:
    client = Client(fake.target)
    events = client.generate("hi")
    next(events)
    client.close()
    with pytest.raises(RequestCancelledError):
        list(events)
    assert fake.cancelled.wait(WAIT_SECONDS)


async def test_an_asynchronous_loop_left_early_cancels(fake: FakeServer) -> None:
    async with AsyncClient(fake.target) as client:
        async for event in client.generate("hi"):
            if isinstance(event, Chunk):
                break
        assert await asyncio.to_thread(fake.cancelled.wait, WAIT_SECONDS)


async def test_closing_the_asynchronous_client_ends_its_streams(fake: FakeServer) -> None:
    client = AsyncClient(fake.target)
    events = client.generate("hi", request_id="mine")
    await anext(events)
    await client.close()
    with pytest.raises(RequestCancelledError) as raised:
        [event async for event in events]
    assert raised.value.request_id == "mine"
    assert await asyncio.to_thread(fake.cancelled.wait, WAIT_SECONDS)


async def drain(events: AsyncIterator[Event], timeout_seconds: float) -> None:
    async with asyncio.timeout(timeout_seconds):
        async for _ in events:
            pass


async def test_a_timeout_of_the_caller_stays_a_timeout(fake: FakeServer) -> None:
    async with AsyncClient(fake.target) as client:
        with pytest.raises(TimeoutError):
            await drain(client.generate("hi"), timeout_seconds=0.5)
        assert await asyncio.to_thread(fake.cancelled.wait, WAIT_SECONDS)
