"""How a server ends, and what it leaves behind: nothing."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support.calls import LONG, connect, find_detail, read_all, text_of
from support.metrics_page import scrape_until

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
NUM_STREAMS = 3
NUM_DROPPED = 200


def watch(channel: grpc.Channel) -> Iterator[health_pb2.HealthCheckResponse]:
    """The health of the whole server as it changes."""
    changes = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    return iter(changes)


def begin_streams(channel: grpc.Channel) -> list[Iterator[pb.GenerateResponse]]:
    """Streams that run and stay open until they are read."""
    stub = GenerationServiceStub(channel)
    calls = [iter(stub.Generate(LONG)) for _ in range(NUM_STREAMS)]
    for call in calls:
        assert next(call).HasField("started")
    return calls


def read_events(server: ServerProcess) -> list[dict[str, object]]:
    """The log of a server that has ended; every line of it must be one of ours."""
    return server.read_entries()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_server_told_to_stop_finishes_what_runs_and_refuses_what_is_new(
    tiny_store: Path, number: signal.Signals
) -> None:
    with (
        ServerProcess(tiny_store) as server,
        connect(server.target, narrow=True) as narrow,
        connect(server.target) as other,
    ):
        undisturbed, error = read_all(GenerationServiceStub(other).Generate(LONG))
        assert error is None
        changes = watch(other)
        assert next(changes).status == SERVING
        running = begin_streams(narrow)

        server.send_signal(number)

        assert next(changes).status == NOT_SERVING
        health = health_pb2_grpc.HealthStub(other)
        assert health.Check(health_pb2.HealthCheckRequest()).status == NOT_SERVING
        host, port = server.target.split(":")
        socket.create_connection((host, int(port))).close()
        with connect(server.target) as late, pytest.raises(grpc.RpcError) as refused:
            GenerationServiceStub(late).GenerateReply(pb.GenerateReplyRequest(prompt="hi"))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert find_detail(refused.value, ErrorInfo).reason == "DRAINING"
        assert find_detail(refused.value, RetryInfo).retry_delay.ToTimedelta().total_seconds() > 0

        for call in running:
            rest, error = read_all(call)
            assert error is None
            assert rest[-1].HasField("completion")
            assert text_of(rest) == text_of(undisturbed)
        assert server.process.wait() == 0
        # a watcher to the end leaves no traceback between the log lines
        assert read_events(server)[-1]["event"] == "stopped"


def test_who_has_not_heard_of_the_end_yet_is_served(tiny_store: Path) -> None:
    """A load balancer that asks more often than the notice is long loses no call."""
    with (
        ServerProcess(tiny_store, "--drain-notice-seconds", "60") as server,
        connect(server.target) as channel,
    ):
        changes = watch(channel)
        assert next(changes).status == SERVING
        server.send_signal(signal.SIGTERM)
        assert next(changes).status == NOT_SERVING

        with connect(server.target) as late:
            events, error = read_all(GenerationServiceStub(late).Generate(LONG))

        server.process.kill()  # it would wait for the rest of the minute
        assert error is None
        assert events[-1].HasField("completion")


def test_an_idle_server_told_to_stop_twice_just_stops(tiny_store: Path) -> None:
    with ServerProcess(tiny_store, "--drain-seconds", "3600") as server:
        server.send_signal(signal.SIGTERM)
        server.send_signal(signal.SIGTERM)
        assert server.process.wait() == 0
        assert [event["event"] for event in read_events(server)][-2:] == ["draining", "stopped"]


def test_streams_longer_than_the_grace_are_cut_as_unavailable(tiny_store: Path) -> None:
    with (
        ServerProcess(tiny_store, "--drain-seconds", "0.1") as server,
        connect(server.target, narrow=True) as narrow,
    ):
        running = begin_streams(narrow)
        server.send_signal(signal.SIGTERM)
        assert server.process.wait() == 0  # nobody reads the streams before it has ended
        for call in running:
            events, error = read_all(call)
            assert error is not None
            assert error.code() is grpc.StatusCode.UNAVAILABLE  # a client goes on elsewhere
            assert not any(event.HasField("completion") for event in events)
        ended = [event for event in read_events(server) if event["event"] == "rpc"]
        assert len(ended) == NUM_STREAMS
        assert all(event["code"] != "OK" for event in ended)


def test_a_killed_server_leaves_its_port_to_the_next_one_at_once(tiny_store: Path) -> None:
    with ServerProcess(tiny_store) as first, connect(first.target, narrow=True) as narrow:
        running = begin_streams(narrow)
        first.process.kill()
        assert first.process.wait() == -signal.SIGKILL
        with (
            ServerProcess(tiny_store, "--listen", first.target) as second,
            connect(second.target) as other,
        ):
            assert second.target == first.target
            events, error = read_all(GenerationServiceStub(other).Generate(LONG))
            assert error is None
            assert events[-1].HasField("completion")
        for call in running:
            _, error = read_all(call)
            assert error is not None
            assert error.code() is grpc.StatusCode.UNAVAILABLE


def test_connections_dropped_in_the_middle_of_streams_leave_nothing_running(
    tiny_store: Path,
) -> None:
    with ServerProcess(tiny_store) as server:
        for _ in range(NUM_DROPPED):
            with connect(server.target, narrow=True) as channel:
                assert next(GenerationServiceStub(channel).Generate(LONG)).HasField("started")
        page = scrape_until(
            server.metrics_url,
            lambda page: (
                page.total("running_sequences") == page.total("waiting_sequences") == 0
                and page.total("requests_total") == NUM_DROPPED
            ),
        )
        assert page.counted("requests_total", "code") == {("CANCELLED",): NUM_DROPPED}
        with connect(server.target) as channel:
            events, error = read_all(GenerationServiceStub(channel).Generate(LONG))
        assert error is None
        assert events[-1].HasField("completion")
        assert server.stop() == 0
        assert read_events(server)[-1]["event"] == "stopped"
