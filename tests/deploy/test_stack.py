"""The stack at work: what compose starts, started as processes, asked through the proxy."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator, Sequence
from itertools import islice
from urllib.request import urlopen

import grpc
import pytest
import redis

from benchmarks.testbed.waiting import until
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from lstmserve_client.affinity import METADATA_KEY
from support.calls import LONG, connect
from support.compose import ROOT
from support.metrics_page import MetricsPage
from support.stack import SERVERS, Stack
from support.steady_load import SteadyLoad
from support.whole_reply import WholeReply, to_unary, whole_of, whole_of_unary

pytestmark = pytest.mark.system  # HAProxy and Prometheus

FIRST = SERVERS[0]
NUM_CALLS = 9
BYPASS = pb.CACHE_MODE_BYPASS
Expected = list[tuple[pb.GenerateRequest, WholeReply]]


def ask(channel: grpc.Channel, request: pb.GenerateRequest) -> WholeReply:
    return whole_of(GenerationServiceStub(channel).Generate(request))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Whoever ends a server of it starts it again."""
    with Stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="module")
def expected(stack: Stack) -> Expected:
    """Questions that are generated anew each time, and what one server answers."""
    requests = [
        pb.GenerateRequest(
            prompt="I want to cancel my order",
            sampling=pb.SamplingParams(seed=seed, temperature=0.9, logprobs=1),
            cache_mode=BYPASS,
        )
        for seed in range(8)
    ]
    with connect(stack.server_target(FIRST)) as channel:
        return [(request, ask(channel, request)) for request in requests]


def count_calls(stack: Stack, host: str) -> float:
    return stack.page(host).total("requests_total")


async def test_one_connection_reaches_every_server_and_all_give_the_same_replies(
    stack: Stack, expected: Expected
) -> None:
    before = {host: count_calls(stack, host) for host in SERVERS}
    async with SteadyLoad(stack.target, expected) as load:
        await load.replies(60)
    until(
        lambda: all(count_calls(stack, host) > before[host] for host in SERVERS),
        "every server is called",
    )


def ask_about(stack: Stack, channel: grpc.Channel, key: str, among: Sequence[str] = SERVERS) -> str:
    """Which server answers a call of that key."""
    before = {host: count_calls(stack, host) for host in among}
    request = pb.GenerateReplyRequest(prompt="hi", cache_mode=BYPASS)
    GenerationServiceStub(channel).GenerateReply(request, metadata=[(METADATA_KEY, key)])

    def asked() -> list[str]:
        return [host for host in among if count_calls(stack, host) > before[host]]

    until(asked, "the call is counted")
    [host] = asked()
    return host


def test_calls_about_the_same_go_to_the_same_server_also_when_another_is_gone(
    stack: Stack,
) -> None:
    keys = [f"{number:016x}" for number in range(8)]
    with stack.restored(FIRST), connect(stack.target) as channel:
        found = {key: ask_about(stack, channel, key) for key in keys}
        assert found == {key: ask_about(stack, channel, key) for key in keys}
        assert len({*found.values()}) > 1
        stack.send_signal(FIRST, signal.SIGKILL)
        stack.wait(FIRST)
        stack.wait_for_servers(len(SERVERS) - 1)
        kept = {key: host for key, host in found.items() if host != FIRST}
        others = SERVERS[1:]
        assert kept == {key: ask_about(stack, channel, key, others) for key in kept}


def test_a_key_with_many_calls_at_once_is_no_burden_of_one_server(stack: Stack) -> None:
    def count_running() -> list[float]:
        page = MetricsPage(f"http://{stack.operators}/metrics")
        calls = page.values("haproxy_server_current_sessions", "proxy", "server")
        return [count for (backend, _), count in calls.items() if backend == "warm" and count]

    num_calls = 12
    with connect(stack.target, narrow=True) as channel:
        stub = GenerationServiceStub(channel)
        calls = [stub.Generate(LONG, metadata=[(METADATA_KEY, "hot")]) for _ in range(num_calls)]
        for call in calls:
            assert next(iter(call)).HasField("started")
        running = count_running()
        assert sum(running) == num_calls
        assert max(running) <= 1.5 * num_calls / len(SERVERS)
        for call in calls:
            call.cancel()


async def test_a_server_told_to_stop_loses_no_call(stack: Stack, expected: Expected) -> None:
    with stack.restored(FIRST):
        async with SteadyLoad(stack.target, expected) as load:
            await load.replies(30)
            stack.send_signal(FIRST, signal.SIGTERM)
            assert await asyncio.to_thread(stack.wait, FIRST) == 0
            await load.replies(30)


async def test_callers_who_balance_by_themselves_lose_no_call_either(
    stack: Stack, expected: Expected
) -> None:
    """As in Kubernetes, where a name has the addresses of all pods and there is no proxy."""
    config = (ROOT / "docker/kubernetes/service-config.json").read_text()
    options = [("grpc.service_config", config)]
    before = {host: count_calls(stack, host) for host in SERVERS}
    with stack.restored(FIRST):
        async with SteadyLoad(stack.servers_target, expected, options=options) as load:
            await load.replies(60)
            assert all(count_calls(stack, host) > before[host] for host in SERVERS)
            stack.send_signal(FIRST, signal.SIGTERM)
            assert await asyncio.to_thread(stack.wait, FIRST) == 0
            await load.replies(30)


async def test_calls_that_a_killed_server_had_not_begun_to_answer_are_answered_by_others(
    stack: Stack, expected: Expected
) -> None:
    request, reply = expected[0]
    with stack.restored(FIRST):
        async with grpc.aio.insecure_channel(stack.target) as channel:
            stub = GenerationServiceStub(channel)

            def begin_calls() -> list[asyncio.Future[pb.GenerateReplyResponse]]:
                calls = [stub.GenerateReply(to_unary(request)) for _ in range(NUM_CALLS)]
                return [asyncio.ensure_future(call) for call in calls]

            # a server that is connected gets the next calls at once
            await asyncio.gather(*begin_calls())
            stack.send_signal(FIRST, signal.SIGSTOP)
            waiting = begin_calls()
            # those that went to the frozen server, a third at most, cannot end
            for ended in islice(asyncio.as_completed(waiting), NUM_CALLS * 2 // 3):
                await ended
            assert not all(call.done() for call in waiting)
            stack.send_signal(FIRST, signal.SIGKILL)
            assert [whole_of_unary(await call) for call in waiting] == [reply] * NUM_CALLS


def test_a_killed_server_is_left_alone_until_it_is_back(stack: Stack, expected: Expected) -> None:
    with stack.restored(FIRST), connect(stack.target) as channel:
        stack.send_signal(FIRST, signal.SIGKILL)
        stack.wait(FIRST)
        # before and after the proxy has noticed
        assert all(ask(channel, request) == reply for request, reply in expected)
        stack.wait_for_servers(len(SERVERS) - 1)
        assert all(ask(channel, request) == reply for request, reply in expected)
        assert stack.health_check(FIRST) != 0
    assert stack.health_check(FIRST) == 0


async def test_servers_that_are_added_and_taken_away_are_found_by_name(
    stack: Stack, expected: Expected
) -> None:
    async with SteadyLoad(stack.target, expected) as load:
        stack.names.addresses["server"] = SERVERS[1:]
        await asyncio.to_thread(stack.wait_for_servers, len(SERVERS) - 1)
        await load.replies(10)
        stack.names.addresses["server"] = SERVERS
        await asyncio.to_thread(stack.wait_for_servers)
        await load.replies(10)


def test_a_caller_who_leaves_ends_the_generation_behind_the_proxy(stack: Stack) -> None:
    def count_cancelled() -> float:
        pages = [stack.page(host).values("requests_total", "code") for host in SERVERS]
        return sum(page.get(("CANCELLED",), 0) for page in pages)

    before = count_cancelled()
    with connect(stack.target, narrow=True) as channel:
        call = GenerationServiceStub(channel).Generate(LONG)
        assert next(iter(call)).HasField("started")
        call.cancel()
    until(lambda: count_cancelled() == before + 1, "a call is cancelled")


def test_what_one_server_keeps_in_redis_another_answers_with(stack: Stack) -> None:
    request = pb.GenerateRequest(prompt="where is my refund?", sampling=pb.SamplingParams(seed=3))
    with (
        connect(stack.server_target(FIRST)) as one,
        connect(stack.server_target(SERVERS[1])) as two,
    ):
        replies = [ask(one, request), ask(one, request)]  # often enough to be kept
        until(
            lambda: stack.page(FIRST).values("cache_stores_total", "store").get(("redis",)),
            "a reply is stored in Redis",
        )
        found = ask(two, request)
    assert found.outcome == pb.CACHE_OUTCOME_HIT
    assert [found, *replies] == [found] * 3


def test_redis_lets_a_server_touch_its_own_keys_and_nothing_else(stack: Stack) -> None:
    with redis.Redis.from_url(stack.redis_url) as client:
        for command in (["CONFIG", "GET", "*"], ["FLUSHALL"], ["MODULE", "LIST"], ["ACL", "LIST"]):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.set("another", "key")
        memory = client.info("memory")
        assert (memory["maxmemory"], memory["maxmemory_policy"]) == (256 << 20, "allkeys-lfu")
        assert client.info("persistence")["aof_enabled"] == 0


def test_prometheus_reads_every_server(stack: Stack) -> None:
    def is_up(host: str) -> bool:
        query = f"http://{stack.prometheus}/api/v1/query?query=up%7Binstance%3D~%22{host}:.*%22%7D"
        with urlopen(query) as answer:
            found = json.load(answer)["data"]["result"]
        return [each["value"][1] for each in found] == ["1"]

    until(lambda: all(is_up(host) for host in SERVERS), "all servers are up")


def test_the_proxy_is_ready_while_a_server_is(stack: Stack) -> None:
    with urlopen(f"http://{stack.operators}/ready") as answer:
        assert answer.status == 200
