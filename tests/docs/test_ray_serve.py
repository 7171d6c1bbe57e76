"""The example for Ray Serve keeps what a server of its own promises, through Ray's gRPC proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import grpc
import psutil
import pytest

from benchmarks.endurance.replies import Question, bits_of, learn
from benchmarks.testbed.ray_serve import RayServe
from benchmarks.testbed.server import UNCACHED, ServerProcess
from benchmarks.testbed.waiting import until
from lstmserve_client import (
    CacheMode,
    Client,
    GenerateOptions,
    InvalidRequestError,
    RetryPolicy,
    SamplingParams,
    ServerError,
    StoppingCriteria,
)
from support.metrics_page import MetricsPage
from support.replica_callers import MAX_CUTS, ThreadedCallers

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

MIN_REPLICAS, MAX_REPLICAS = 2, 3
PROMPTS = ("where is my parcel", "你好", "thanks 👍", "i love order 7")
NUM_QUESTIONS = 12
NUM_LEAVING = 8
# Ray starts a replica as slowly as the machine is busy: in seconds, or minutes beside other tests
START_SECONDS = 180.0
PATIENT = RetryPolicy(max_attempts=1_000, budget_retries=100_000)


@pytest.fixture(scope="module")
def ray(tiny_store: Path) -> Iterator[RayServe]:
    """Two replicas, and a third one for whoever has more than two requests each."""
    arguments = ("--model-store", str(tiny_store), *UNCACHED)
    with RayServe(
        arguments,
        min_replicas=MIN_REPLICAS,
        max_replicas=MAX_REPLICAS,
        target_ongoing_requests=2,
    ) as started:
        wait_for_servers(started, MIN_REPLICAS)
        yield started


@pytest.fixture(scope="module")
def questions(server: ServerProcess) -> Sequence[Question]:
    """What a plain server answers."""
    asks = [(PROMPTS[seed % len(PROMPTS)], long_reply(seed)) for seed in range(NUM_QUESTIONS)]
    return learn(server.target, asks)


def wait_for_servers(ray: RayServe, least: int) -> None:
    until(lambda: len(ray.servers) >= least, f"{least} replicas have a server", START_SECONDS)


def long_reply(seed: int) -> GenerateOptions:
    return {
        "sampling": SamplingParams(seed=seed, temperature=1.0, logprobs=seed % 3),
        "stopping": StoppingCriteria(min_tokens=256, max_tokens=256),
        "cache_mode": CacheMode.BYPASS,
    }


def test_replies_are_those_of_a_plain_server_bit_for_bit(
    ray: RayServe, questions: Sequence[Question]
) -> None:
    with Client(ray.target) as client:
        for each in questions:
            assert bits_of(client.reply(each.prompt, **each.options)) == each.expected
            stream = client.generate(each.prompt, **each.options)
            assert sum(1 for _ in stream) > 2
            assert bits_of(stream.reply()) == each.expected


def test_a_refusal_has_its_status_with_all_details(ray: RayServe, server: ServerProcess) -> None:
    told = []
    for target in (server.target, ray.target):
        with Client(target) as client:
            for ask in (client.reply, lambda prompt, client=client: list(client.generate(prompt))):
                with pytest.raises(InvalidRequestError) as refused:
                    ask(" ")
                error = refused.value
                assert isinstance(error.__cause__, grpc.Call)
                code = error.__cause__.code()
                told.append((code, error.message, error.reason, error.violations))
                assert error.request_id
    assert told[0][0] is grpc.StatusCode.INVALID_ARGUMENT
    assert told == [told[0]] * 4


def test_a_request_keeps_its_id(ray: RayServe) -> None:
    with Client(ray.target) as client:
        assert client.reply("hello", request_id="our-own").started.request_id == "our-own"


def test_models_are_told_and_not_administered(ray: RayServe, server: ServerProcess) -> None:
    with Client(ray.target) as client, Client(server.target) as plain:
        assert client.models() == plain.models()
        with pytest.raises(ServerError, match="one server at a time") as refused:
            client.unload_model("tiny", "1")
        assert isinstance(refused.value.__cause__, grpc.Call)
        assert refused.value.__cause__.code() is grpc.StatusCode.UNIMPLEMENTED


def test_what_its_caller_left_the_engine_stops(ray: RayServe) -> None:
    """More than one leaves: Ray does not tell of those who leave while it passes a message on."""
    before = count_cancelled(ray)

    def leave() -> bool:
        with Client(ray.target) as client:
            streams = [client.generate("hello", **long_reply(n)) for n in range(NUM_LEAVING)]
            for stream in streams:
                next(iter(stream))
                stream.close()
        until(lambda: not any(is_at_work(url) for url in ray.metrics_urls), "all engines rest")
        return count_cancelled(ray) > before

    until(leave, "a server knows that its caller has left")


def is_at_work(url: str) -> bool:
    return MetricsPage(url).total("running_sequences") > 0


def count_cancelled(ray: RayServe) -> float:
    pages = [MetricsPage(url) for url in ray.metrics_urls]
    return sum(page.total("requests_total", rpc="Generate", code="CANCELLED") for page in pages)


@pytest.mark.parametrize(
    "victims", [lambda ray: ray.replicas, lambda ray: ray.servers], ids=["replica", "server"]
)
def test_no_stream_notices_that_a_replica_or_its_server_is_killed(
    victims: Callable[[RayServe], list[psutil.Process]],
    ray: RayServe,
    questions: Sequence[Question],
) -> None:
    """Its streams go on at another, bit for bit; neither outlives the other, and both come back."""

    def kill() -> None:
        victim = victims(ray)[0]
        family = [victim, *victim.children(recursive=True), *parent_of(victim, ray)]
        victim.kill()
        until(lambda: not any(map(is_there, family)), "replica, server and engine have ended")

    assert any(cuts_streams(kill, ray, questions) for _ in range(MAX_CUTS))
    wait_for_servers(ray, MIN_REPLICAS)


def cuts_streams(kill: Callable[[], None], ray: RayServe, questions: Sequence[Question]) -> bool:
    """Return whether it did; replies that were sent in full are read to their end."""
    wait_for_servers(ray, MIN_REPLICAS)  # nobody asks now: what starts would have to share its core
    callers = ThreadedCallers([ray.target], questions, retry=PATIENT)
    with callers.asking():
        callers.wait_for_streams()
        kill()
    return callers.watch.resumes > 0


def parent_of(victim: psutil.Process, ray: RayServe) -> list[psutil.Process]:
    """Return the replica of a server; a replica has none."""
    return [each for each in ray.replicas if victim in each.children()]


def is_there(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_more_callers_get_more_replicas(ray: RayServe, questions: Sequence[Question]) -> None:
    """They ask until Ray starts one: where cores are few, they would keep it from being ready."""
    callers = ThreadedCallers([ray.target], questions, count=16, retry=PATIENT)
    with callers.asking():
        until(lambda: len(ray.replicas) == MAX_REPLICAS, "Ray starts a third", START_SECONDS)
    wait_for_servers(ray, MAX_REPLICAS)


def test_nothing_is_left_of_it_in_the_end(tiny_store: Path) -> None:
    with RayServe(("--model-store", str(tiny_store), *UNCACHED)) as ray:
        with Client(ray.target) as client:
            assert client.reply("hello").text
        started = ray.processes
        assert {*ray.replicas, *ray.servers} <= {*started}
        assert ray.stop() == 0
    assert not [each for each in started if is_there(each)]
