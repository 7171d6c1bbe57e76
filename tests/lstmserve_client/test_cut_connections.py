"""Connections to a real server that break at any byte, in the middle of whatever it says."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks.testbed.tcp_proxy import TcpProxy
from lstmserve_client import AsyncClient, Reply, SamplingParams, StoppingCriteria
from lstmserve_client.keywords import (
    GenerateOptions,
)

if TYPE_CHECKING:
    from benchmarks.testbed.server import ServerProcess

NUM_CUTS = 12
NUM_TOKENS = 256  # many chunks: a client gives up when several cuts in a row leave no whole one
OPTIONS = GenerateOptions(
    sampling=SamplingParams(temperature=1.0, seed=7, logprobs=3),
    stopping=StoppingCriteria(
        min_tokens=NUM_TOKENS, max_tokens=NUM_TOKENS, stop_sequences=("zzz",)
    ),
)


def decided(reply: Reply) -> tuple[object, ...]:
    """What a reply is, whoever gave it and when."""
    completion = reply.completion
    started = replace(reply.started, request_id="", cache=reply.started.cache.UNKNOWN)
    ended = (completion.finish_reason, completion.stop_sequence, completion.labels)
    counts = (completion.usage.prompt_tokens, completion.usage.generated_tokens)
    return (reply.text, reply.token_ids, reply.logprobs, started, ended, counts)


@pytest.fixture(scope="module")
def undisturbed(server: ServerProcess) -> tuple[Reply, int]:
    """A reply whose connection does not break, and the bytes that it took."""

    async def ask() -> tuple[Reply, int]:
        async with (
            TcpProxy(port_of(server)) as proxy,
            AsyncClient(f"127.0.0.1:{proxy.port}") as client,
        ):
            reply = await client.generate("hello", **OPTIONS).reply()
            return reply, proxy.num_bytes

    return asyncio.run(ask())


def port_of(server: ServerProcess) -> int:
    return int(server.target.rpartition(":")[2])


@pytest.mark.parametrize("seed", range(6))
async def test_a_reply_is_the_same_wherever_its_connections_break(
    server: ServerProcess, undisturbed: tuple[Reply, int], seed: int
) -> None:
    whole, num_bytes = undisturbed
    draw = random.Random(seed)
    # the first bytes are the handshake's, and whether the server takes requests; what a reply
    # takes depends a little on how it is cut into chunks
    limits = [draw.randrange(60, num_bytes // 2) for _ in range(NUM_CUTS)]
    async with (
        TcpProxy(port_of(server), limits) as proxy,
        AsyncClient(f"127.0.0.1:{proxy.port}") as client,
    ):
        cut = await client.generate("hello", **OPTIONS).reply()
        assert proxy.num_cuts > 0
    assert decided(cut) == decided(whole)
    assert len(cut.token_ids) == NUM_TOKENS
