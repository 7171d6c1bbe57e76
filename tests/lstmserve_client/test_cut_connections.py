"""Connections to a real server that break at any byte, in the middle of whatever it says."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lstmserve_client import AsyncClient, Reply, SamplingParams, StoppingCriteria
from lstmserve_client.types import GenerateOptions
from support.cutting_proxy import CuttingProxy

if TYPE_CHECKING:
    from support.server_process import ServerProcess

NUM_CUTS = 12
OPTIONS = GenerateOptions(
    sampling=SamplingParams(temperature=1.0, seed=7, logprobs=3),
    stopping=StoppingCriteria(min_tokens=64, max_tokens=64, stop_sequences=("zzz",)),
)


def decided(reply: Reply) -> tuple[object, ...]:
    """What a reply is, whoever gave it and when."""
    completion = reply.completion
    started = replace(reply.started, request_id="", cache=reply.started.cache.UNKNOWN)
    ended = (completion.finish_reason, completion.stop_sequence, completion.labels)
    counts = (completion.usage.prompt_tokens, completion.usage.generated_tokens)
    return (reply.text, reply.token_ids, reply.logprobs, started, ended, counts)


@pytest.mark.parametrize("seed", range(6))
async def test_a_reply_is_the_same_wherever_its_connections_break(
    server: ServerProcess, seed: int
) -> None:
    draw = random.Random(seed)
    # the first bytes are the handshake's, and whether the server takes requests
    limits = [draw.randrange(60, 4000) for _ in range(NUM_CUTS)]
    async with AsyncClient(server.target) as client:
        undisturbed = await client.reply("hello", **OPTIONS)
    port = int(server.target.rpartition(":")[2])
    async with (
        CuttingProxy(port, limits) as proxy,
        AsyncClient(f"127.0.0.1:{proxy.port}") as client,
    ):
        cut = await client.generate("hello", **OPTIONS).reply()
        assert proxy.num_connections > 1
    assert decided(cut) == decided(undisturbed)
    assert len(cut.token_ids) == 64
