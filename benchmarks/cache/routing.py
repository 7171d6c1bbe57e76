"""Replicas behind a proxy: what calls find warm there, and how even the load is.

The same requests go to one replica alone, to all without the metadata that tells what is warm, and
to all with it; once where each has its own cache alone, and once where they share one in Redis as
well. What counts does not depend on how fast the machine is.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from math import ceil

import numpy as np

from benchmarks.cache.caller import Caller, Reply, connect, encode, make_fresh_prompt, make_prompts
from benchmarks.cache.fleet import Balancer, Fleet
from benchmarks.cache.sizes import Sizes
from benchmarks.cache.stage import Stage
from benchmarks.load.dialect import UNARY
from benchmarks.load.findings import Finding, Target
from benchmarks.load.prompts import draw_ranks
from benchmarks.load.transport import Metadata
from benchmarks.testbed.server import RunningServer
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_client.affinity import METADATA_KEY, Affinity, affinity_key

EXPONENT = 1.0
CALLERS = 64
TOKENS = 4
SEED = 0
TURNS = 6
HOT_SHARE = 2  # one of so many requests is the hot caller's
BALANCE_FACTOR = 1.5  # hash-balance-factor of docker/proxy/haproxy.cfg
LEAST_OF_ONE = Target(0.95, is_least=True)  # of the hit ratio of one replica that gets everything

_seeds = count()  # each run has prompts that no other one asked for


@dataclass
class _Outcome:
    """What came of one run's requests."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    tokens_read: int = 0
    calls: Sequence[float] = ()  # of each replica
    most_at_once: float = 0.0  # at one of them
    most_of_all: float = 0.0

    def add(self, reply: Reply) -> None:
        if reply.code != "OK":
            self.failures[reply.code] += 1
            return
        self.outcomes[reply.outcome] += 1
        if reply.outcome == "miss":  # others were read when they were first asked for
            self.tokens_read += reply.usage.prompt_tokens - reply.usage.cached_prompt_tokens

    @property
    def hit_ratio(self) -> float:
        return self.outcomes["hit"] / self.outcomes.total()

    @property
    def joined_ratio(self) -> float:
        return self.outcomes["coalesced"] / self.outcomes.total()

    @property
    def imbalance(self) -> float:
        return max(self.calls) / float(np.mean(self.calls))


@dataclass(frozen=True)
class _Way:
    """Whom the proxy is told to prefer."""

    name: str
    affinity: Affinity
    has_hot_caller: bool = False

    def key(self, number: int, request: pb.GenerateReplyRequest) -> str:
        is_hot = self.has_hot_caller and number % HOT_SHARE == 0
        return affinity_key("the hot caller" if is_hot else self.affinity, request)


ALONE = _Way("one replica", affinity=False)
FEWEST = _Way("fewest calls", affinity=False)
WARM = _Way("affinity", affinity=True)
HOT = _Way("affinity and a hot caller", affinity=True, has_hot_caller=True)


async def measure_routing(stage: Stage, sizes: Sizes) -> list[Finding]:
    findings = []
    for shared, arguments in (("", ()), (" and Redis", ("--redis-url", stage.redis.url))):
        with stage.start_fleet(max(sizes.replicas), *arguments) as fleet:
            findings += await _measure_fleet(fleet, shared, sizes)
    return findings


async def _measure_fleet(fleet: Fleet, shared: str, sizes: Sizes) -> list[Finding]:
    """Measure every way; ``shared`` says in their names what the replicas share."""
    name = f"{ALONE.name}{shared}"
    alone = await _ask_all(fleet.first, ALONE, sizes)
    talked = await _converse_all(fleet.first, ALONE, sizes)
    findings = [*_describe(name, alone), _describe_turns(name, talked)]
    for number in sizes.replicas:
        for way in (FEWEST, WARM, HOT):
            name = f"{number} replicas, {way.name}{shared}"
            findings += await _measure(fleet, number, name, way, sizes, alone)
    return findings


async def _measure(
    fleet: Fleet, number: int, name: str, way: _Way, sizes: Sizes, alone: _Outcome
) -> list[Finding]:
    async with _balanced(fleet, number) as (server, balancer):
        outcome = await _ask_all(server, way, sizes)
        outcome.calls, outcome.most_at_once = balancer.count_calls(), balancer.find_most_at_once()
        outcome.most_of_all = balancer.find_most_of_all()
        findings = [*_describe(name, outcome), _compare(name, way, outcome, alone)]
        findings += _describe_balance(name, way, outcome, number)
        if not way.has_hot_caller:
            findings.append(_describe_turns(name, await _converse_all(server, way, sizes)))
    return findings


@asynccontextmanager
async def _balanced(fleet: Fleet, number: int) -> AsyncIterator[tuple[RunningServer, Balancer]]:
    with fleet.balanced(number) as balancer:
        yield RunningServer(balancer.target), balancer


async def _ask_all(server: RunningServer, way: _Way, sizes: Sizes) -> _Outcome:
    asked = draw_ranks(sizes.routed_prompts, EXPONENT, sizes.routed_requests, SEED)
    requests = [
        encode(prompt, TOKENS) for prompt in make_prompts(sizes.routed_prompts, next(_seeds))
    ]
    calls = (
        (requests[rank], _metadata(way, place, requests[rank])) for place, rank in enumerate(asked)
    )
    outcome = _Outcome()
    async with connect(server) as caller, asyncio.TaskGroup() as group:
        for _ in range(CALLERS):  # all take theirs from the same calls
            group.create_task(_ask(caller, calls, outcome))
    return outcome


async def _ask(caller: Caller, calls: Iterable[tuple[bytes, Metadata]], outcome: _Outcome) -> None:
    for request, metadata in calls:
        outcome.add(await caller.try_call(UNARY, request, metadata))


async def _converse_all(server: RunningServer, way: _Way, sizes: Sizes) -> _Outcome:
    outcome, numbers = _Outcome(), iter(range(sizes.routed_conversations))
    async with connect(server) as caller, asyncio.TaskGroup() as group:
        for _ in range(CALLERS // 4):
            group.create_task(_converse(caller, numbers, way, outcome))
    return outcome


async def _converse(caller: Caller, numbers: Iterator[int], way: _Way, outcome: _Outcome) -> None:
    for number in numbers:
        request = pb.GenerateReplyRequest(
            sampling=pb.SamplingParams(temperature=0.0),
            stopping=pb.StoppingCriteria(min_tokens=TOKENS, max_tokens=TOKENS),
        )
        turns = request.conversation.turns
        for _ in range(TURNS):
            turns.add(role=pb.ROLE_USER, text=make_fresh_prompt())
            encoded = request.SerializeToString()
            reply = await caller.call(UNARY, encoded, _metadata(way, number, encoded))
            outcome.add(reply)
            turns.add(role=pb.ROLE_AGENT, text=reply.content[0])


def _metadata(way: _Way, number: int, request: bytes) -> Metadata:
    key = way.key(number, pb.GenerateReplyRequest.FromString(request))
    return ((METADATA_KEY, key),) if key else ()


def _describe(name: str, outcome: _Outcome) -> list[Finding]:
    return [
        Finding(
            f"{name}: hit ratio",
            outcome.hit_ratio,
            note=f"{outcome.joined_ratio:.1%} joined others in flight",
        ),
        Finding(f"{name}: prompt tokens read", outcome.tokens_read),
        Finding(f"{name}: failed", outcome.failures.total(), target=Target(0), note=_tell(outcome)),
    ]


def _compare(name: str, way: _Way, outcome: _Outcome, alone: _Outcome) -> Finding:
    share = outcome.hit_ratio / alone.hit_ratio
    target = LEAST_OF_ONE if way is WARM else None
    return Finding(f"{name}: hits over one replica's", share, target=target)


def _tell(outcome: _Outcome) -> str:
    return ", ".join(f"{count} {code}" for code, count in outcome.failures.items())


def _describe_balance(name: str, way: _Way, outcome: _Outcome, number: int) -> list[Finding]:
    bound = ceil(BALANCE_FACTOR * outcome.most_of_all / number)
    return [
        Finding(f"{name}: requests, max over mean", outcome.imbalance),
        Finding(
            f"{name}: calls at once, most of one replica",
            outcome.most_at_once,
            target=Target(bound) if way.affinity else None,
            note=f"of {outcome.most_of_all:g} at all of them",
        ),
    ]


def _describe_turns(name: str, outcome: _Outcome) -> Finding:
    return Finding(f"{name}: prompt tokens read, conversations", outcome.tokens_read)
