"""Identical requests at the same time are generated once, and nobody notices the others."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

import grpc
import pytest

from benchmarks.testbed.waiting import WAIT_SECONDS
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import generation_service_pb2_grpc
from support.calls import LONG, connect
from support.metrics_page import MetricsPage, scrape_until
from support.served import Metadata, Served, serve
from support.whole_reply import WholeReply, to_unary, whole_of, whole_of_unary
from support.wire_requests import copy_of, make_request

HIT, MISS = pb.CACHE_OUTCOME_HIT, pb.CACHE_OUTCOME_MISS
COALESCED = pb.CACHE_OUTCOME_COALESCED
NUM_CALLERS = 320
PARK_AFTER = 16
NUM_TOKENS = 512
# made ahead of the slowest reader, and what is under way when it leaves
MOST_WASTED = PARK_AFTER + 64
# long enough to join, and waited for
DEADLINE_SECONDS = 1.0
numbers = count()


@pytest.fixture(scope="module")
def served(tiny_store: Path) -> Iterator[Served]:
    """Keeps what is asked for twice."""
    with serve(tiny_store, "--park-after-tokens", str(PARK_AFTER)) as running:
        yield running


def new_request() -> pb.GenerateRequest:
    """Nobody asked for it before; so bulky that it is only complete when it is read."""
    request = copy_of(LONG)
    request.sampling.seed = next(numbers)
    return request


class Streams:
    """Streams of one request on connections that take little before they are read."""

    def __init__(self, served: Served, request: pb.GenerateRequest, stack: ExitStack) -> None:
        self._served = served
        self.request = request
        self._stack = stack
        self.calls: list[Any] = []  # iterators that are calls
        self.begun: list[pb.GenerateResponse] = []

    def open(self, count: int = 1, timeout: float | None = None) -> None:
        """Join, and wait until it is so."""
        for _ in range(count):
            channel = self._stack.enter_context(connect(self._served.process.target, narrow=True))
            grpc.channel_ready_future(channel).result(WAIT_SECONDS)  # no part of the deadline
            stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
            metadata = (("x-caller-id", f"caller-{len(self.calls)}"),)
            call = stub.Generate(self.request, timeout=timeout, metadata=metadata)
            self.calls.append(call)
            self.begun.append(next(call))

    def read(self, number: int) -> WholeReply:
        return whole_of([self.begun[number], *self.calls[number]])

    def cancel(self, number: int) -> None:
        self.calls[number].cancel()


@pytest.fixture
def streams(served: Served) -> Iterator[Streams]:
    with ExitStack() as stack:
        yield Streams(served, new_request(), stack)


def expected_of(uncached: Served, streams: Streams) -> WholeReply:
    return uncached.ask(streams.request)


def tokens_by_source(served: Served) -> Counter[str]:
    values = served.page_once_idle().values("generated_tokens_total", "source")
    return Counter({source: int(value) for (source,), value in values.items()})


def wasted(served: Served) -> float:
    """Tokens made for callers who had left."""
    reasons = served.page_once_idle().values("wasted_tokens_total", "reason")
    return reasons.get(("cancelled",), 0)


def ended_early(served: Served) -> float:
    """Replies that the model did not complete."""
    return served.page_once_idle().total("cancel_seconds_count")


def coalesced(served: Served) -> float:
    return served.page().total("cache_coalesced_requests_total")


@contextmanager
def counted_ends(served: Served, code: str, count: int) -> Iterator[None]:
    """Wait until so many calls have ended with this code at the server, too."""

    def ended(page: MetricsPage) -> float:
        return page.values("requests_total", "code").get((code,), 0)

    before = ended(served.page())
    yield
    scrape_until(served.process.metrics_url, lambda page: ended(page) >= before + count)


async def ask_at_once(
    served: Served, request: pb.GenerateRequest, count: int, rng: random.Random
) -> list[WholeReply]:
    """So many callers who have nothing in common but their request, half of them streaming."""

    async def ask(number: int) -> WholeReply:
        channel = channels[number % len(channels)]
        stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
        metadata: Metadata = (("x-caller-id", f"c{number}"),) if rng.random() < 0.7 else ()
        own = copy_of(request)
        own.priority = rng.choice(pb.Priority.values())
        if rng.random() < 0.5:
            return whole_of_unary(await stub.GenerateReply(to_unary(own), metadata=metadata))
        return whole_of([event async for event in stub.Generate(own, metadata=metadata)])

    channels = [grpc.aio.insecure_channel(served.process.target) for _ in range(4)]
    try:
        return await asyncio.gather(*map(ask, range(count)))
    finally:
        for channel in channels:
            await channel.close()


async def test_hundreds_at_once_are_generated_once(cached: Served, uncached: Served) -> None:
    request = make_request("everybody asks this", seed=3, min_tokens=200, max_tokens=200)
    before, joined = tokens_by_source(cached), coalesced(cached)
    replies = await ask_at_once(cached, request, NUM_CALLERS, random.Random(1))
    assert {*replies} == {uncached.ask(request)}
    outcomes = Counter(reply.outcome for reply in replies)
    assert outcomes[MISS] == 1
    assert outcomes[COALESCED] + outcomes[HIT] == NUM_CALLERS - 1
    assert outcomes[COALESCED] == coalesced(cached) - joined > 0
    made = tokens_by_source(cached) - before
    assert made["model"] == 200
    assert made["coalesced"] == 200 * outcomes[COALESCED]
    assert made["cache"] == 200 * outcomes[HIT]
    assert wasted(cached) == 0


async def test_hundreds_of_a_few_requests_are_generated_once_each(
    cached: Served, uncached: Served
) -> None:
    requests = [make_request(f"question {n}", seed=n, max_tokens=40) for n in range(20)]
    before = tokens_by_source(cached)
    asking = [ask_at_once(cached, request, 16, random.Random(2)) for request in requests]
    for request, replies in zip(requests, await asyncio.gather(*asking), strict=True):
        assert {*replies} == {uncached.ask(request)}
    made = tokens_by_source(cached) - before
    assert made["model"] == sum(uncached.ask(request).generated_tokens for request in requests)


def test_who_joins_late_gets_everything_from_the_first_token(
    served: Served, uncached: Served, streams: Streams
) -> None:
    before = tokens_by_source(served), coalesced(served)
    streams.open()
    first = streams.calls[0]
    had = [streams.begun[0], *(next(first) for _ in range(5))]
    streams.open(10)
    late = [streams.read(number) for number in range(1, 11)]
    assert {whole_of([*had, *first]), *late} == {expected_of(uncached, streams)}
    assert {reply.outcome for reply in late} == {COALESCED}
    made = tokens_by_source(served) - before[0]
    assert made == {"model": NUM_TOKENS, "coalesced": 10 * NUM_TOKENS}
    assert coalesced(served) - before[1] == 10


def test_who_does_not_read_holds_up_nobody(
    served: Served, uncached: Served, streams: Streams
) -> None:
    streams.open(3)
    expected = expected_of(uncached, streams)
    quick = served.ask(streams.request, unary=True)
    assert quick == expected
    assert quick.outcome == COALESCED
    assert {streams.read(number) for number in range(3)} == {expected}


@pytest.mark.parametrize("seed", range(4))
def test_whoever_leaves_the_others_go_on(
    served: Served, uncached: Served, streams: Streams, seed: int
) -> None:
    rng = random.Random(seed)
    before = wasted(served), ended_early(served)
    streams.open(8)
    *leaving, survivor = range(8) if seed == 0 else rng.sample(range(8), 8)
    with counted_ends(served, "CANCELLED", len(leaving)):
        for number in leaving:
            for _ in range(rng.randrange(4)):
                next(streams.calls[number])
            streams.cancel(number)
    streams.open()
    assert streams.begun[-1].started.cache == COALESCED
    both = {streams.read(survivor), streams.read(8)}
    assert both == {expected_of(uncached, streams)}
    assert (wasted(served), ended_early(served)) == before


def test_half_of_them_leave_while_all_read(
    served: Served, uncached: Served, streams: Streams
) -> None:
    before = wasted(served)
    streams.open(20)

    def read_some(number: int) -> WholeReply | None:
        if number % 2:
            deque(islice(streams.calls[number], number), maxlen=0)
            streams.cancel(number)
            return None
        return streams.read(number)

    with ThreadPoolExecutor(20) as pool:
        replies = [*pool.map(read_some, range(20))]
    assert {*replies} == {expected_of(uncached, streams), None}
    assert wasted(served) == before


def test_when_all_leave_the_model_stops(served: Served, uncached: Served, streams: Streams) -> None:
    before = wasted(served)
    streams.open(6)
    for number in random.Random(6).sample(range(6), 6):
        streams.cancel(number)
    assert wasted(served) - before <= MOST_WASTED
    # it was never complete: who comes now is the first of a new one
    streams.open()
    reply = streams.read(6)
    assert reply == expected_of(uncached, streams)
    assert reply.outcome == MISS


async def test_unary_callers_may_leave_too(served: Served, uncached: Served) -> None:
    request, rng = new_request(), random.Random(7)
    before = wasted(served)
    async with grpc.aio.insecure_channel(served.process.target) as channel:
        stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
        calls = [stub.GenerateReply(to_unary(request)) for _ in range(30)]
        await calls[0].wait_for_connection()
        for number in rng.sample(range(30), 20):
            calls[number].cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)
    left = [item for item in ended if isinstance(item, asyncio.CancelledError)]
    replies = [whole_of_unary(item) for item in ended if isinstance(item, pb.GenerateReplyResponse)]
    assert len(left) + len(replies) == 30
    assert len(replies) >= 10
    assert {*replies} == {uncached.ask(request)}
    assert wasted(served) == before


def test_followers_with_a_deadline_leave_alone(
    served: Served, uncached: Served, streams: Streams
) -> None:
    before = wasted(served), ended_early(served)
    streams.open()
    streams.open(4, timeout=DEADLINE_SECONDS)
    streams.open(2)
    check_deadlines(streams, range(1, 5))
    assert {streams.read(0), streams.read(5), streams.read(6)} == {expected_of(uncached, streams)}
    assert (wasted(served), ended_early(served)) == before


def test_the_first_ones_deadline_is_nobody_elses(
    served: Served, uncached: Served, streams: Streams
) -> None:
    before = wasted(served), ended_early(served)
    streams.open(1, timeout=DEADLINE_SECONDS)
    streams.open(2)
    streams.open(1, timeout=DEADLINE_SECONDS)
    check_deadlines(streams, (0, 3))
    assert streams.read(1) == streams.read(2) == expected_of(uncached, streams)
    assert (wasted(served), ended_early(served)) == before


def test_when_every_deadline_has_passed_the_model_stops(served: Served, streams: Streams) -> None:
    before = wasted(served)
    with counted_ends(served, "DEADLINE_EXCEEDED", 4):
        streams.open(4, timeout=DEADLINE_SECONDS)
        check_deadlines(streams, range(4))
    assert wasted(served) - before <= MOST_WASTED


async def test_hopeless_deadlines_among_many_fail_alone(served: Served, uncached: Served) -> None:
    rng = random.Random(8)
    async with grpc.aio.insecure_channel(served.process.target) as channel:
        stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
        for _ in range(4):
            request = new_request()
            limits = [0.001, *(rng.choice([None, 0.001, 0.005, 0.02, 0.1]) for _ in range(40))]
            calls = [stub.GenerateReply(to_unary(request), timeout=limit) for limit in limits]
            ended = await asyncio.gather(*calls, return_exceptions=True)
            expected = uncached.ask(request)
            for limit, item in zip(limits, ended, strict=True):
                if isinstance(item, pb.GenerateReplyResponse):
                    assert whole_of_unary(item) == expected
                else:
                    assert isinstance(item, grpc.aio.AioRpcError)
                    assert item.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                    assert limit is not None
    assert served.page_once_idle().total("running_sequences") == 0


def check_deadlines(streams: Streams, numbers: Iterable[int]) -> None:
    """Wait for the ends of these: nobody reads on, so that they cannot be complete."""
    codes = {streams.calls[number].code() for number in numbers}
    assert codes == {grpc.StatusCode.DEADLINE_EXCEEDED}
