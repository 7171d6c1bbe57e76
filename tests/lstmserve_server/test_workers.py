"""Several workers are one server: same bits, one page, one port, one end."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from lstmserve_server.supervision.supervisor import share_cores
from support import dying_server
from support.calls import LONG, connect, read_all, text_of
from support.metrics_page import MetricsPage, read_exemplars, scrape_until
from support.stores import copy_version

TWO = ("--workers", "2")
# the kernel spreads connections by their ports: that one worker gets none of as many has
# odds of two in a million
NUM_CONNECTIONS = 20
REQUEST = pb.GenerateReplyRequest(
    prompt="hello",
    sampling=pb.SamplingParams(seed=7, temperature=1, logprobs=5),
    stopping=pb.StoppingCriteria(min_tokens=20, max_tokens=20),
)
END_SECONDS = 10


def find_workers(server: ServerProcess) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children()


def ask_over_new_connections(server: ServerProcess) -> list[pb.GenerateReplyResponse]:
    """One reply over each of so many connections that every worker has some."""
    replies = []
    for _ in range(NUM_CONNECTIONS):
        with connect(server.target) as channel:
            replies.append(GenerationServiceStub(channel).GenerateReply(REQUEST))
    return replies


def wait_for_workers(server: ServerProcess, *, num_serving: int, restarts: int) -> None:
    """Until so many serve, after so many restarts or more."""
    scrape_until(
        server.metrics_url,
        lambda page: (
            page.total("worker_restarts_total") >= restarts and page.total("workers") == num_serving
        ),
    )


@dataclass
class Asked:
    """A server of two workers that has been asked, and has ended."""

    replies: list[pb.GenerateReplyResponse]
    page: MetricsPage
    exemplars: dict[str, set[str]]  # request ids by histogram
    affinities: list[list[set[int]]]  # of every thread of every worker
    maps: list[str]  # files that the supervisor has in memory
    resident_bytes: int
    exit_code: int
    output: str
    log: list[dict[str, Any]]


@pytest.fixture(scope="module")
def asked(tiny_store: Path) -> Iterator[Asked]:
    with pytest.MonkeyPatch.context() as patch:
        # of no concern to a supervisor that reads its workers' pages
        patch.setenv("http_proxy", "http://127.0.0.1:9")
        with ServerProcess(tiny_store, *TWO, is_forked=False) as server:
            patch.undo()
            yield ask(server)


def ask(server: ServerProcess) -> Asked:
    supervisor, workers = psutil.Process(server.process.pid), find_workers(server)
    replies = ask_over_new_connections(server)
    page = scrape_until(
        server.metrics_url, lambda page: page.total("requests_total") == NUM_CONNECTIONS
    )
    exemplars = read_exemplars(server.metrics_url)
    affinities = [
        [os.sched_getaffinity(thread.id) for thread in worker.threads()] for worker in workers
    ]
    maps = [entry.path for entry in supervisor.memory_maps()]
    processes = (supervisor, *supervisor.children(recursive=True))
    resident = sum(process.memory_info().rss for process in processes)
    exit_code = server.stop()
    output = server.read_output()
    return Asked(
        replies,
        page,
        exemplars,
        affinities,
        maps,
        resident,
        exit_code,
        output,
        server.read_entries(),
    )


def essence(reply: pb.GenerateReplyResponse) -> bytes:
    """All but what differs between two calls: the request's id, the timings, the cache."""
    same = pb.GenerateReplyResponse()
    same.CopyFrom(reply)
    same.started.ClearField("request_id")
    same.started.ClearField("cache")
    same.completion.ClearField("timings")
    same.completion.ClearField("cache")
    same.completion.usage.ClearField("cached_prompt_tokens")
    return same.SerializeToString(deterministic=True)


def test_every_worker_answers_with_the_bits_of_a_server_of_one(
    asked: Asked, server: ServerProcess
) -> None:
    with connect(server.target) as channel:
        alone = GenerationServiceStub(channel).GenerateReply(REQUEST)
    assert {essence(reply) for reply in asked.replies} == {essence(alone)}
    answered = {entry["worker"] for entry in asked.log if entry["event"] == "rpc"}
    assert answered == {0, 1}


def test_the_page_counts_what_all_workers_did(asked: Asked) -> None:
    page = asked.page
    calls = page.counted("requests_total", "rpc", "code", "finish_reason")
    assert calls == {("GenerateReply", "OK", "max_tokens"): NUM_CONNECTIONS}
    assert page.total("request_seconds_count") == NUM_CONNECTIONS
    assert page.total("generated_tokens_total") == 20 * NUM_CONNECTIONS
    prompts = sum(reply.started.prompt_tokens for reply in asked.replies)
    assert page.total("prompt_tokens_total") == prompts
    assert (page.total("workers"), page.total("worker_restarts_total")) == (2, 0)


def test_the_page_has_what_that_of_a_single_process_has(
    asked: Asked, server: ServerProcess
) -> None:
    alone = MetricsPage(server.metrics_url)
    assert asked.page.types.items() >= alone.types.items()
    for name in ("model_bytes", "model_info"):
        labels = ("model", "version")
        assert asked.page.values(name, *labels) == alone.values(name, *labels)
    state_bytes = alone.total("state_bytes")
    assert asked.page.total("state_bytes") == 2 * state_bytes


def test_buckets_lead_to_calls_of_any_worker(asked: Asked) -> None:
    answered = {reply.started.request_id for reply in asked.replies}
    for name in ("request", "time_to_first_token"):
        found = asked.exemplars[f"lstmserve_{name}_seconds"]
        assert found
        assert found <= answered


def test_quality_is_that_of_each_worker_and_bounds_are_sums(asked: Asked) -> None:
    measured = asked.page.values("quality_window_tokens", "model", "version", "worker")
    # the first reply that each of them generated
    assert measured == {("tiny", "1", "0"): 20, ("tiny", "1", "1"): 20}
    assert len(set(asked.page.values("quality_log_perplexity", "worker").values())) == 1
    assert asked.page.total("max_running_sequences") == 2 * 64
    assert asked.page.values("server_info", "server_version") == {(version("lstmserve"),): 1}


def test_memory_is_that_of_all_processes(asked: Asked) -> None:
    resident = asked.page.total("resident_memory_bytes")
    assert 0.8 * asked.resident_bytes < resident < 1.2 * asked.resident_bytes
    assert resident < 1.02 * asked.page.total("peak_memory_bytes")


def test_workers_have_cores_of_their_own_and_the_supervisor_no_engine(asked: Asked) -> None:
    shares = share_cores(os.sched_getaffinity(0), 2)
    expected = [set(share) or os.sched_getaffinity(0) for share in shares]
    for threads in asked.affinities:
        assert all(cores == threads[0] for cores in threads)
    assert sorted((threads[0] for threads in asked.affinities), key=min) == expected
    assert not [path for path in asked.maps if "torch" in path or "grpc" in path]


def test_two_workers_start_and_end_as_one_server(asked: Asked) -> None:
    assert asked.exit_code == 0
    # after the one line that said ready
    assert [line.split(": ")[0] for line in asked.output.splitlines()] == ["try", "page"]
    ended = [entry["worker"] for entry in asked.log if entry["event"] == "stopped"]
    assert sorted(ended) == [0, 1]


def test_one_worker_is_the_server_itself(server: ServerProcess) -> None:
    assert MetricsPage(server.metrics_url).total("workers") == 0
    assert not any("worker" in entry for entry in server.read_entries())


def test_more_workers_than_cores_are_told(tiny_store: Path) -> None:
    anywhere = os.sched_getaffinity(0)
    one = min(anywhere)
    os.sched_setaffinity(0, [one])
    try:
        with ServerProcess(tiny_store, *TWO) as server:
            assert [worker.cpu_affinity() for worker in find_workers(server)] == [[one]] * 2
            (warning,) = [entry for entry in server.read_entries() if entry["level"] == "warning"]
            assert (warning["workers"], warning["cores"]) == (2, 1)
    finally:
        os.sched_setaffinity(0, anywhere)


def test_a_killed_worker_is_replaced_and_nothing_that_was_read_is_forgotten(
    tiny_store: Path, tmp_path: Path
) -> None:
    """One that cannot start again, because its version is gone, leaves the others alone."""
    version = copy_version(tiny_store / "tiny" / "1", tmp_path)
    with ServerProcess(tmp_path, *TWO) as server:
        ask_over_new_connections(server)
        scrape_until(
            server.metrics_url, lambda page: page.total("requests_total") == NUM_CONNECTIONS
        )
        other = kill_one(server)
        replies = ask_once(server)

        wait_for_workers(server, num_serving=2, restarts=1)
        replies += ask_over_new_connections(server)
        count = 2 * NUM_CONNECTIONS + 1
        page = scrape_until(server.metrics_url, lambda page: page.total("requests_total") == count)
        assert page.total("request_seconds_count") == count
        assert {reply.started.model_version for reply in replies} == {"1"}
        assert other in find_workers(server)
        assert read_reasons(server) == ["signal 9 (Killed)"]

        shutil.move(version, version.with_name("2"))
        other = kill_one(server)
        wait_for_workers(server, num_serving=1, restarts=3)
        assert other in find_workers(server)
        assert ask_once(server)
        assert "a version must lie in <model>/<version>" in read_reasons(server)[2]
        assert server.stop() == 0


def kill_one(server: ServerProcess) -> psutil.Process:
    """Return the worker that is left."""
    victim, other = find_workers(server)
    victim.kill()
    psutil.wait_procs([victim], timeout=END_SECONDS)
    return other


def ask_once(server: ServerProcess) -> list[pb.GenerateReplyResponse]:
    with connect(server.target) as channel:
        return [GenerationServiceStub(channel).GenerateReply(REQUEST)]


def read_reasons(server: ServerProcess) -> list[str]:
    """Why workers ended that were not told to."""
    return [entry["reason"] for entry in server.read_entries() if entry["level"] == "error"]


def test_a_worker_whose_engine_cannot_be_kept_alive_is_replaced(
    tiny_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")  # as in test_engine_death
    program = (str(dying_server.__file__), "stillborn")
    with ServerProcess(tiny_store, *TWO, program=program) as server:
        with connect(server.target) as channel:
            _, error = read_all(GenerationServiceStub(channel).Generate(LONG))
        assert error is not None
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        wait_for_workers(server, num_serving=2, restarts=1)
        (ended,) = [
            entry for entry in server.read_entries() if "worker has ended" in entry["event"]
        ]
        assert ended["reason"] == "exit code 1"
        short = pb.GenerateReplyRequest(prompt="hi", stopping=pb.StoppingCriteria(max_tokens=1))
        with connect(server.target) as channel:
            assert GenerationServiceStub(channel).GenerateReply(short).token_ids
        assert server.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_workers_finish_what_runs_when_told_to_stop(
    tiny_store: Path, number: signal.Signals
) -> None:
    with ServerProcess(tiny_store, *TWO) as server:
        with connect(server.target) as channel:
            undisturbed, _ = read_all(GenerationServiceStub(channel).Generate(LONG))
        connections = [connect(server.target, narrow=True) for _ in range(NUM_CONNECTIONS)]
        channels = [connection.__enter__() for connection in connections]
        running = [GenerationServiceStub(channel).Generate(LONG) for channel in channels]
        for call in running:
            assert next(call).HasField("started")
        server.send_signal(number)
        for call in running:
            events, error = read_all(call)
            assert error is None
            assert events[-1].HasField("completion")
            assert text_of(events) == text_of(undisturbed)
        assert server.process.wait() == 0
        for connection in connections:
            connection.__exit__(None, None, None)
        log = server.read_entries()
        for event in ("draining", "stopped"):
            assert sorted(entry["worker"] for entry in log if entry["event"] == event) == [0, 1]
        assert not [entry for entry in log if entry["level"] == "error"]


def test_workers_die_with_a_killed_supervisor_and_leave_the_port(tiny_store: Path) -> None:
    """One that is stuck, and one that serves; both ran on whatever core was free."""
    anywhere = sorted(os.sched_getaffinity(0))
    with ServerProcess(tiny_store, *TWO, "--pin", "none") as first:
        workers = find_workers(first)
        assert [worker.cpu_affinity() for worker in workers] == [anywhere] * 2
        workers[0].suspend()
        first.process.kill()
        gone, alive = psutil.wait_procs(workers, timeout=END_SECONDS)
        assert (len(gone), alive) == (2, [])
        with ServerProcess(tiny_store, *TWO, "--listen", first.target) as second:
            assert second.target == first.target
            assert ask_over_new_connections(second)


def test_a_stuck_worker_does_not_keep_the_server_from_ending(tiny_store: Path) -> None:
    with ServerProcess(tiny_store, *TWO, "--drain-seconds", "0") as server:
        find_workers(server)[0].suspend()
        assert server.stop() == 1
        (killed,) = [entry for entry in server.read_entries() if entry["level"] == "error"]
        assert "killed" in killed["event"]
