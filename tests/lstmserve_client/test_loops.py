"""An asynchronous client and the event loop that it belongs to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lstmserve_client import AsyncClient

if TYPE_CHECKING:
    from support.fake_server import FakeServer


def test_another_loop_is_refused_by_both_ways_to_ask(fake: FakeServer) -> None:
    with asyncio.Runner() as own, asyncio.Runner() as other:
        client = AsyncClient(fake.target)
        own.run(client.reply("hi"))
        with pytest.raises(RuntimeError, match="for one event loop"):
            other.run(client.reply("hi"))
        with pytest.raises(RuntimeError, match="for one event loop"):
            other.run(client.generate("hi").reply())
        own.run(client.reply("hi"))
        own.run(client.close())
    assert len(fake.requests) == 2


def test_a_client_may_be_made_before_there_is_a_loop(fake: FakeServer) -> None:
    client = AsyncClient(fake.target)

    async def ask() -> str:
        async with client:
            return (await client.reply("hi")).text

    assert asyncio.run(ask()) == fake.reply.text
