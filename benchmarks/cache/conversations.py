"""Conversations with and without kept states: how soon each turn's reply begins."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from benchmarks.cache.caller import Caller, connect, make_fresh_prompt
from benchmarks.cache.sizes import Sizes
from benchmarks.cache.stage import Stage
from benchmarks.load.dialect import STREAMED
from benchmarks.load.findings import Finding
from benchmarks.load.usage import MeasureError
from lstmserve.v1 import generation_service_pb2 as pb

TURNS = 6
TOKENS = 64


@dataclass
class _Turn:
    """One turn of all conversations."""

    with_states: list[float] = field(default_factory=list)  # seconds to the first message
    without: list[float] = field(default_factory=list)
    prompt_tokens: list[int] = field(default_factory=list)
    cached_tokens: list[int] = field(default_factory=list)


async def measure_conversations(stage: Stage, sizes: Sizes) -> list[Finding]:
    turns: defaultdict[int, _Turn] = defaultdict(_Turn)
    async with connect(stage.near) as caller, connect(stage.without_states) as plain:
        for start in range(sizes.conversations):
            await _converse(caller, plain, turns, start)
    return [finding for number in range(TURNS) for finding in _describe(number, turns[number])]


async def _converse(
    caller: Caller, plain: Caller, turns: defaultdict[int, _Turn], start: int
) -> None:
    """One conversation, every turn of which both servers answer.

    ``start`` is its number: each turn has each of them first as often as second, which is slower.
    """
    conversation = pb.Conversation()
    for number in range(TURNS):
        conversation.turns.add(role=pb.ROLE_USER, text=make_fresh_prompt())
        request = _encode(conversation)
        order = (caller, plain) if (start + number) % 2 else (plain, caller)
        replies = {one: await one.call(STREAMED, request) for one in order}
        reply, other = replies[caller], replies[plain]
        if reply.content != other.content:
            raise MeasureError("a kept state changed a reply")
        turns[number].with_states.append(reply.first_seconds)
        turns[number].without.append(other.first_seconds)
        turns[number].prompt_tokens.append(reply.usage.prompt_tokens)
        turns[number].cached_tokens.append(reply.usage.cached_prompt_tokens)
        conversation.turns.add(role=pb.ROLE_AGENT, text=reply.content[0])


def _encode(conversation: pb.Conversation) -> bytes:
    return pb.GenerateRequest(
        conversation=conversation,
        sampling=pb.SamplingParams(temperature=0.0),
        stopping=pb.StoppingCriteria(min_tokens=TOKENS, max_tokens=TOKENS),
    ).SerializeToString()


def _describe(number: int, turn: _Turn) -> list[Finding]:
    name = f"turn {number + 1}"
    prompt = np.mean(turn.prompt_tokens)
    without = float(np.median(turn.without)) * 1e3
    kept = float(np.median(turn.with_states)) * 1e3
    return [
        Finding(
            f"{name}: prompt tokens not read",
            float(np.mean(turn.cached_tokens)),
            note=f"of {prompt:.0f}",
        ),
        Finding(f"{name}: first message, states kept, p50", kept, "ms"),
        Finding(
            f"{name}: first message, no states, p50",
            without,
            "ms",
            note=f"{without / kept:.2f} times as long",
        ),
    ]
