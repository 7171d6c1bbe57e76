"""What callers count and what the page counts is the same, to the call and to the token."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support.calls import LONG, connect
from support.metrics_page import MetricsPage, scrape_until
from support.whole_reply import to_unary
from support.wire_requests import copy_of, make_request, with_mode

NUM_EACH = 12
SOURCES = {
    pb.CACHE_OUTCOME_MISS: "model",
    pb.CACHE_OUTCOME_BYPASS: "model",
    pb.CACHE_OUTCOME_HIT: "cache",
    pb.CACHE_OUTCOME_COALESCED: "coalesced",
}
OK = grpc.StatusCode.OK
EARLY = {"CANCELLED", "DEADLINE_EXCEEDED"}
LEAVE_AFTER = 3  # messages
SHORT_SECONDS = 0.05
NUM_LEAVING = 40


@dataclass
class Counted:
    """One call as its caller saw it."""

    rpc: str
    request_id: str
    code: grpc.StatusCode = grpc.StatusCode.OK
    tokens: int = 0
    prompt_tokens: int = 0
    source: str = ""
    messages: int = 0

    def add(self, started: pb.Started, token_ids: Iterable[int]) -> None:
        if started.request_id:
            self.prompt_tokens = started.prompt_tokens
            self.source = SOURCES[started.cache]
        self.tokens += len([*token_ids])
        self.messages += 1


class Callers:
    """Makes calls of every kind, all at once, and notes what comes of them."""

    def __init__(self, stub: GenerationServiceStub) -> None:
        self._stub = stub
        self.calls: list[Counted] = []

    async def stream(
        self,
        request: pb.GenerateRequest,
        timeout: float | None = None,  # noqa: ASYNC109 - a gRPC deadline
        leave_after: int = 0,
    ) -> None:
        counted = self._begin("Generate")
        call: Any = self._stub.Generate(
            request, timeout=timeout, metadata=(("x-request-id", counted.request_id),)
        )
        try:
            async for event in call:
                counted.add(event.started, event.chunk.token_ids)
                if counted.messages == leave_after:
                    call.cancel()
        except grpc.aio.AioRpcError as error:
            counted.code = error.code()
        except asyncio.CancelledError:
            counted.code = grpc.StatusCode.CANCELLED

    async def whole(self, request: pb.GenerateRequest, timeout: float | None = None) -> None:  # noqa: ASYNC109 - a gRPC deadline
        counted = self._begin("GenerateReply")
        try:
            reply: Any = await self._stub.GenerateReply(
                to_unary(request),
                timeout=timeout,
                metadata=(("x-request-id", counted.request_id),),
            )
        except grpc.aio.AioRpcError as error:
            counted.code = error.code()
        else:
            counted.add(reply.started, reply.token_ids)

    def _begin(self, rpc: str) -> Counted:
        counted = Counted(rpc, f"call-{len(self.calls)}")
        self.calls.append(counted)
        return counted


def calls_that_end_well(callers: Callers) -> Iterator[Coroutine[Any, Any, None]]:
    """Streams and whole replies: generated, asked for together, kept, stopped, resumed; refused."""
    same = make_request("everybody asks this", seed=1, max_tokens=40)
    greedy = make_request("where is my parcel", temperature=0.0, max_tokens=20, stops=["e", "is"])
    for number in range(NUM_EACH):
        own = make_request(f"question {number}", seed=number, max_tokens=48)
        alone = make_request("hello", seed=number, mode=pb.CACHE_MODE_BYPASS, stops=["您", " "])
        resumed = copy_of(own)
        resumed.model_version = "1"
        resumed.resume_tokens.extend([7, 9][: 1 + number % 2])
        yield callers.stream(resumed)
        for request in (own, same, alone, greedy, pb.GenerateRequest(), unknown(number)):
            yield callers.stream(request)
            yield callers.whole(request)


def calls_that_end_early(callers: Callers) -> Iterator[Coroutine[Any, Any, None]]:
    """Left by their callers, or too late."""
    for number in range(NUM_EACH):
        long = copy_of(LONG)
        long.sampling.seed = number
        alone = copy_of(long)
        alone.cache_mode = pb.CACHE_MODE_BYPASS
        yield callers.stream(long, leave_after=LEAVE_AFTER)
        yield callers.stream(alone, leave_after=LEAVE_AFTER)
        for request in (long, alone):
            yield callers.stream(request, timeout=SHORT_SECONDS)
            yield callers.whole(request, timeout=SHORT_SECONDS)


def unknown(number: int) -> pb.GenerateRequest:
    request = make_request("hello")
    request.model = f"no-model-{number}"
    return request


Kind = Callable[[Callers], Iterator[Coroutine[Any, Any, None]]]
LogLine = Mapping[str, Any]


@dataclass
class Load:
    """What callers, the page and the log say of the same calls."""

    calls: list[Counted]
    page: MetricsPage = field(init=False)
    logged: Mapping[str, LogLine] = field(init=False)  # by request id


async def run_load(store: Path, *kinds: Kind) -> Load:
    with ServerProcess(store) as server:
        async with grpc.aio.insecure_channel(server.target) as channel:
            callers = Callers(GenerationServiceStub(channel))
            for kind in kinds:
                calls = [*kind(callers)]
                random.Random(5).shuffle(calls)
                await asyncio.gather(*calls)
        load = Load(callers.calls)

        def agree(page: MetricsPage) -> bool:
            load.page, load.logged = page, read_calls(server)
            tokens = sum(line["generated_tokens"] for line in load.logged.values())
            return (
                page.total("requests_total") == len(load.logged)
                and page.total("generated_tokens_total") == tokens
                and page.total("running_sequences") == page.total("waiting_sequences") == 0
            )

        scrape_until(server.metrics_url, agree)  # a call ends at its caller before its server
        return load


def read_calls(server: ServerProcess) -> dict[str, LogLine]:
    """The log lines of calls, by their request ids."""
    lines = server.read_entries()
    return {line["request_id"]: line for line in lines if line["event"] == "rpc"}


@pytest.fixture(scope="module")
def well(tiny_store: Path) -> Load:
    return asyncio.run(run_load(tiny_store, calls_that_end_well))


@pytest.fixture(scope="module")
def mixed(tiny_store: Path) -> Load:
    return asyncio.run(run_load(tiny_store, calls_that_end_well, calls_that_end_early))


def test_every_token_that_callers_got_is_counted_once_with_its_source(well: Load) -> None:
    got: Counter[str] = Counter()
    for call in well.calls:
        if call.tokens:
            got[call.source] += call.tokens
    assert got.keys() == {"model", "cache", "coalesced"}
    found = well.page.values("generated_tokens_total", "source")
    assert {source: count for (source,), count in found.items()} == got
    assert well.page.total("prompt_tokens_total") == sum(c.prompt_tokens for c in well.calls)


def test_every_call_is_counted_once_with_how_it_ended(well: Load) -> None:
    ended = Counter((c.rpc, "ok" if c.code is OK else "refused") for c in well.calls)
    assert ended[("Generate", "refused")] == ended[("GenerateReply", "refused")] == 2 * NUM_EACH
    assert well.page.counted("requests_total", "rpc", "outcome") == ended
    assert well.page.values("request_seconds_count", "rpc", "outcome") == ended
    firsts = well.page.values("time_to_first_token_seconds_count", "rpc")
    assert firsts == {(rpc,): ended[rpc, "ok"] for rpc in ("Generate", "GenerateReply")}


def test_every_gap_of_streams_from_the_model_is_observed(well: Load) -> None:
    chunks = sum(
        call.messages - 2  # Started and Completion
        for call in well.calls
        if (call.rpc, call.source) == ("Generate", "model")
    )
    streams = [c for c in well.calls if (c.rpc, c.source) == ("Generate", "model")]
    assert well.page.total("inter_token_seconds_count") == chunks - len(streams)


def test_calls_that_end_early_are_counted_as_the_server_handed_over(mixed: Load) -> None:
    codes = Counter((line["rpc"], line["code"]) for line in mixed.logged.values())
    assert mixed.page.counted("requests_total", "rpc", "code") == codes
    for call in mixed.calls:
        line = mixed.logged.get(call.request_id)
        if line is None:  # it was over before the server had read it
            assert call.code is not OK
            assert call.tokens == 0
        elif call.code is OK:
            assert (line["code"], line["generated_tokens"]) == ("OK", call.tokens)
        else:
            assert line["generated_tokens"] >= call.tokens  # the rest was under way
    early = [line for line in mixed.logged.values() if line["code"] in EARLY]
    assert len(early) > NUM_EACH
    assert all(not line["generated_tokens"] for line in early if line["rpc"] == "GenerateReply")


@pytest.mark.parametrize("mode", [pb.CACHE_MODE_UNSPECIFIED, pb.CACHE_MODE_BYPASS])
def test_every_decoded_token_was_sent_or_wasted_though_callers_leave(
    tiny_store: Path, mode: pb.CacheMode
) -> None:
    with (
        ServerProcess(tiny_store, "--quantum-steps", "1") as server,
        connect(server.target) as channel,
    ):
        stub, url = GenerationServiceStub(channel), server.metrics_url
        calls = []
        for seed in range(NUM_LEAVING):
            request = with_mode(LONG, mode)
            request.sampling.seed = seed
            calls.append(stub.GenerateReply.future(to_unary(request)))
        scrape_until(url, lambda page: page.total("batch_rows_sum") > NUM_LEAVING)
        for call in calls:
            call.cancel()
        page = scrape_until(url, is_all_accounted_for)
        codes = page.counted("requests_total", "code")
        assert codes["CANCELLED",] > 0
        assert page.total("generated_tokens_total") == 512 * codes.get(("OK",), 0)


def is_all_accounted_for(page: MetricsPage) -> bool:
    """Whether nothing runs, and each row of each decode call has made a token that counts."""
    made = page.total("generated_tokens_total") + page.total("wasted_tokens_total")
    is_idle = page.total("running_sequences") == page.total("waiting_sequences") == 0
    return is_idle and made == page.total("batch_rows_sum")


def test_what_is_asked_for_in_vain_makes_no_series(mixed: Load) -> None:
    labels = {value for sample in mixed.page.samples for value in sample.labels.values()}
    assert not {label for label in labels if label.startswith(("no-model", "call-"))}
    assert set(mixed.page.counted("requests_total", "rpc")) == {("Generate",), ("GenerateReply",)}
