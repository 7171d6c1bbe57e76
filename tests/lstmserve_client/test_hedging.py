"""A call that takes too long is asked of a second server as well."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lstmserve_client import AsyncClient, CallRecord, Client, HedgePolicy, RetryPolicy
from lstmserve_client.testing import FakeService
from lstmserve_client.testing.models import make_model
from lstmserve_client.testing.transports import FakeAsyncTransport, FakeTransport

if TYPE_CHECKING:
    from lstmserve_client.transport import Attempt

TARGETS = ["127.0.0.1:1", "127.0.0.1:2"]
SOON = HedgePolicy(min_calls=2, min_seconds=0.001)


class SlowTransport(FakeTransport):
    """The servers that are slow do not answer."""

    def __init__(self, service: FakeService) -> None:
        super().__init__(service._server)
        self.slow: set[int] = set()
        self.asked: list[Attempt] = []
        self.hanging: list[Future[Any]] = []

    def begin(self, method: Any, request: Any, attempt: Attempt) -> Future[Any]:  # noqa: ANN401 - any method
        self.asked.append(attempt)
        if attempt.target not in self.slow:
            return super().begin(method, request, attempt)
        self.hanging.append(Future())
        return self.hanging[-1]


class SlowAsyncTransport(FakeAsyncTransport):
    """The servers that are slow do not answer."""

    def __init__(self, service: FakeService) -> None:
        super().__init__(service._server)
        self.slow: set[int] = set()
        self.asked: list[Attempt] = []
        self.num_cancelled = 0

    async def unary(self, method: Any, request: Any, attempt: Attempt) -> Any:  # noqa: ANN401 - any method
        self.asked.append(attempt)
        if attempt.target not in self.slow:
            return await super().unary(method, request, attempt)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.num_cancelled += 1
            raise


def test_the_second_server_answers_for_the_first() -> None:
    transport = SlowTransport(FakeService())
    told: list[CallRecord] = []
    client = Client(TARGETS, transport=transport, hedge=SOON, on_call_end=told.append)
    for _ in range(2):  # that tell how long calls take
        client.reply("hi")
    transport.slow = {0}
    assert client.reply("hi").text == "You said: hi"
    assert [record.num_attempts for record in told] == [1, 1, 2]
    first, second = transport.asked
    assert (first.target, second.target) == (0, 1)
    assert first.request_id == second.request_id
    assert transport.hanging[0].cancelled()


async def test_the_second_server_answers_for_the_first_on_a_loop() -> None:
    transport = SlowAsyncTransport(FakeService())
    client = AsyncClient(TARGETS, transport=transport, hedge=SOON)
    for _ in range(2):
        await client.reply("hi")
    transport.slow = {0}
    assert (await client.reply("hi")).text == "You said: hi"
    first, second = transport.asked[2:]
    assert (first.target, second.target) == (0, 1)
    assert first.request_id == second.request_id
    assert transport.num_cancelled == 1


async def test_a_caller_that_leaves_takes_both_calls_along() -> None:
    transport = SlowAsyncTransport(FakeService())
    client = AsyncClient(TARGETS, transport=transport, hedge=SOON)
    for _ in range(2):
        await client.reply("hi")
    transport.slow = {0, 1}
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.reply("hi")
    assert transport.num_cancelled == 2


async def test_without_a_budget_nobody_else_is_asked() -> None:
    transport = SlowAsyncTransport(FakeService())
    retry = RetryPolicy(budget_retries=0)
    client = AsyncClient(TARGETS, transport=transport, hedge=SOON, retry=retry)
    for _ in range(2):
        await client.reply("hi")
    transport.slow = {0}
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.reply("hi")
    assert len(transport.asked) == 3


async def test_too_few_calls_are_no_measure() -> None:
    transport = SlowAsyncTransport(FakeService())
    client = AsyncClient(TARGETS, transport=transport, hedge=SOON)
    await client.reply("hi")
    transport.slow = {1}
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.reply("hi")
    assert len(transport.asked) == 2


async def test_what_is_inexact_is_asked_of_one_server_at_a_time() -> None:
    transport = SlowAsyncTransport(FakeService(models=[replace(make_model(), is_inexact=True)]))
    client = AsyncClient(TARGETS, transport=transport, hedge=SOON)
    for _ in range(3):
        assert (await client.reply("hi")).started.is_inexact
    transport.slow = {0, 1}
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.reply("hi")
    assert transport.num_cancelled == 1
