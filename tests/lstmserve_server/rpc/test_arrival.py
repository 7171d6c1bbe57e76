"""Messages are waited for with a caller's patience, and with less for those nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from lstmserve_server.errors import DeadlineError, InvalidRequestError
from lstmserve_server.rpc import arrival
from lstmserve_server.rpc.arrival import UnadmittedCalls, read_one
from lstmserve_server.rpc.wire import make_reader

READ = make_reader(health_pb2.HealthCheckRequest)
ASKED = health_pb2.HealthCheckRequest(service="a")


async def at_once(*messages: Message) -> AsyncIterator[bytes]:
    for message in messages:
        yield message.SerializeToString()


async def never() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


async def test_the_message_is_read() -> None:
    assert await read_one(READ, at_once(ASKED)) == ASKED


async def test_a_call_without_a_message_is_told_so() -> None:
    with pytest.raises(InvalidRequestError, match="request: is missing"):
        await read_one(READ, at_once())


async def test_a_message_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "MESSAGE_SECONDS", 0)
    with pytest.raises(DeadlineError):
        await read_one(READ, never())


async def test_too_many_strangers_push_the_slowest_out() -> None:
    unadmitted = UnadmittedCalls(most=2)
    slowest, slow = (asyncio.create_task(unadmitted.read_one(READ, never())) for _ in range(2))
    await asyncio.sleep(0)
    assert await unadmitted.read_one(READ, at_once(ASKED)) == ASKED
    with pytest.raises(DeadlineError, match="send the message with the call"):
        await slowest
    # who has come has left: there is a place again, and nobody has to go for it
    assert await unadmitted.read_one(READ, at_once(ASKED)) == ASKED
    assert not slow.done()
    slow.cancel()


async def test_messages_of_strangers_are_short() -> None:
    long = health_pb2.HealthCheckRequest(service="a" * arrival.MAX_UNADMITTED_BYTES)
    assert await read_one(READ, at_once(long)) == long
    with pytest.raises(InvalidRequestError, match="at most"):
        await UnadmittedCalls().read_one(READ, at_once(long))
