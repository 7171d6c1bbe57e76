"""More work than can be done, over real sockets: who is refused, who is next, who is unharmed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support.calls import LONG, connect, find_detail, read_all, text_of
from support.metrics_page import MetricsPage, scrape_until
from support.wire_requests import copy_of, with_mode

WHOLE = pb.GenerateReplyRequest(
    prompt="hello", sampling=pb.SamplingParams(seed=7), stopping=LONG.stopping
)
MANY = 60


def caller(name: str) -> dict[str, tuple[tuple[str, str], ...]]:
    return {"metadata": (("x-caller-id", name),)}


def is_idle(page: MetricsPage) -> bool:
    names = ("running_sequences", "waiting_sequences", "waiting_tokens", "parked_sequences")
    return not any(page.total(name) for name in names)


@contextmanager
def serving(store: Path, *arguments: str) -> Iterator[tuple[ServerProcess, GenerationServiceStub]]:
    # what is asked for twice is to be generated twice
    arguments = ("--cache-bytes", "0", *arguments)
    with ServerProcess(store, *arguments) as server, connect(server.target) as channel:
        yield server, GenerationServiceStub(channel)


def refused_reasons(server: ServerProcess) -> dict[str, float]:
    found = MetricsPage(server.metrics_url).values("rejected_total", "reason")
    return {reason: count for (reason,), count in found.items()}


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(tiny_store: Path) -> None:
    with serving(tiny_store, "--max-running", "1", "--max-waiting", "4") as (server, stub):
        calls = [stub.GenerateReply.future(WHOLE, **caller(str(n))) for n in range(MANY)]
        errors = [error for call in calls if (error := call.exception()) is not None]
        assert 0 < len(errors) < MANY
        for error in errors:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert find_detail(error, ErrorInfo).reason == "QUEUE_FULL"
            delay = find_detail(error, RetryInfo).retry_delay.ToTimedelta().total_seconds()
            assert 0.1 <= delay <= 60
        assert len({call.result().text for call in calls if call.exception() is None}) == 1
        assert refused_reasons(server) == {"queue_full": len(errors)}


def test_a_queue_is_full_by_tokens_as_well(tiny_store: Path) -> None:
    bound = ("--max-running", "1", "--max-waiting-tokens", "2000")
    with serving(tiny_store, *bound) as (server, stub):
        calls = [stub.GenerateReply.future(WHOLE, **caller(str(n))) for n in range(MANY)]
        errors = [error for call in calls if (error := call.exception()) is not None]
        assert {find_detail(error, ErrorInfo).reason for error in errors} == {"QUEUE_TOKENS_FULL"}
        assert refused_reasons(server) == {"queue_tokens_full": len(errors)}


def test_one_caller_cannot_fill_the_queue(tiny_store: Path) -> None:
    with serving(tiny_store, "--max-running", "1", "--max-waiting", "10") as (_, stub):
        greedy = [stub.GenerateReply.future(WHOLE, **caller("greedy")) for _ in range(MANY)]
        assert stub.GenerateReply(WHOLE, **caller("modest")).text
        errors = [error for call in greedy if (error := call.exception()) is not None]
        assert {find_detail(error, ErrorInfo).reason for error in errors} == {"CALLER_SHARE"}
        assert all(find_detail(error, RetryInfo) for error in errors)


def test_a_deadline_that_the_queue_cannot_meet_is_refused_at_once(tiny_store: Path) -> None:
    with serving(tiny_store, "--max-running", "1") as (server, stub):
        calls = [stub.GenerateReply.future(WHOLE, **caller("a")) for _ in range(4 * MANY)]
        # by now the queue's speed is known
        scrape_until(server.metrics_url, lambda page: page.total("generated_tokens_total") > 2000)
        with pytest.raises(grpc.RpcError) as caught:
            stub.GenerateReply(WHOLE, timeout=0.3, **caller("a"))
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert find_detail(caught.value, ErrorInfo).reason == "DEADLINE_INFEASIBLE"
        # the queue is another caller's; one place in it is enough
        assert stub.GenerateReply(WHOLE, timeout=30, **caller("b")).text
        assert not all(call.done() for call in calls)
        for call in calls:
            call.cancel()
        page = scrape_until(server.metrics_url, is_idle)
        assert page.values("rejected_total", "reason") == {("deadline",): 1}


def test_a_single_request_does_not_wait_for_the_thousands_of_another_caller(
    tiny_store: Path,
) -> None:
    bounds = ("--max-running", "4", "--max-waiting", "5000", "--max-waiting-tokens", "9999999")
    with serving(tiny_store, *bounds) as (server, stub):
        greedy = [stub.GenerateReply.future(WHOLE, **caller("greedy")) for _ in range(2000)]
        scrape_until(server.metrics_url, lambda page: page.total("waiting_sequences") > 1000)
        before = sum(call.done() for call in greedy)
        reply = stub.GenerateReply(WHOLE, **caller("modest"))
        # those that ran beside it and while it was on its way, which takes long on a machine that
        # others use; not the thousand before it
        assert sum(call.done() for call in greedy) - before < 500
        # grpc itself would cancel some of so many at random, left to its default
        assert {call.code() for call in greedy if call.done()} == {grpc.StatusCode.OK}
        assert reply.text == greedy[0].result().text
        for call in greedy:
            call.cancel()
        scrape_until(server.metrics_url, is_idle)


def test_a_slow_reader_gives_its_row_up_and_loses_nothing(tiny_store: Path) -> None:
    bounds = ("--max-running", "1", "--park-after-tokens", "32")
    with (
        serving(tiny_store, *bounds) as (server, stub),
        connect(server.target, narrow=True) as narrow,
    ):
        undisturbed, _ = read_all(stub.Generate(LONG))
        slow = iter(GenerationServiceStub(narrow).Generate(LONG))
        first = next(slow)
        scrape_until(
            server.metrics_url,
            lambda page: (
                page.total("parked_sequences") == 1 and page.total("running_sequences") == 0
            ),
        )
        others, error = read_all(stub.Generate(LONG))  # in the only row there is
        assert error is None
        rest, error = read_all(slow)
        assert error is None
        assert rest[-1].HasField("completion")
        for events in (others, [first, *rest]):
            assert text_of(events) == text_of(undisturbed)
            logprobs, expected = (
                [entry for event in stream for entry in event.chunk.logprobs]
                for stream in (events, undisturbed)
            )
            assert logprobs == expected
        scrape_until(server.metrics_url, is_idle)


def test_a_slow_reader_that_leaves_is_forgotten(tiny_store: Path) -> None:
    with (
        serving(tiny_store, "--park-after-tokens", "32") as (server, _),
        connect(server.target, narrow=True) as narrow,
    ):
        calls = [GenerationServiceStub(narrow).Generate(LONG) for _ in range(8)]
        for call in calls:
            next(iter(call))
        scrape_until(server.metrics_url, lambda page: page.total("parked_sequences") == 8)
        for call in calls[:4]:
            call.cancel()
        narrow.close()
        scrape_until(
            server.metrics_url,
            lambda page: is_idle(page) and page.total("cancel_seconds_count") == 8,
        )


def test_a_storm_of_cancellations_disturbs_nobody(tiny_store: Path) -> None:
    rng = random.Random(11)
    with serving(tiny_store, "--max-running", "8") as (server, stub):
        expected = stub.GenerateReply(WHOLE).text

        def cancel_soon(_: int) -> None:
            call = stub.Generate(LONG)
            for _ in range(rng.randint(0, 3)):
                next(call)
            call.cancel()

        with ThreadPoolExecutor(32) as pool:
            storm = pool.map(cancel_soon, range(300))
            calm = list(pool.map(lambda _: stub.GenerateReply(WHOLE).text, range(40)))
            list(storm)
        assert calm == [expected] * 40
        page = scrape_until(server.metrics_url, is_idle)
        slow = (
            page.total("cancel_seconds_count")
            - page.values("cancel_seconds_bucket", "le")[("1.0",)]
        )
        assert slow == 0


@pytest.mark.parametrize("priority", pb.Priority.values())
def test_no_priority_and_no_caller_changes_a_reply(
    generation: GenerationServiceStub, priority: pb.Priority
) -> None:
    plain_request = with_mode(LONG, pb.CACHE_MODE_BYPASS)
    request = copy_of(plain_request)
    request.priority = priority
    plain, _ = read_all(generation.Generate(plain_request))
    special, error = read_all(generation.Generate(request, timeout=60, **caller("Some.one_1-2")))
    assert error is None
    assert text_of(special) == text_of(plain)


@pytest.mark.parametrize("name", ["", " ", "a b", "x" * 65, "a/b"])
def test_a_callers_id_is_short_and_plain(generation: GenerationServiceStub, name: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        generation.GenerateReply(pb.GenerateReplyRequest(prompt="hi"), **caller(name))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = find_detail(caught.value, BadRequest).field_violations
    assert violation.field == "x-caller-id"
