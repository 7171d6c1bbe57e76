"""Whoever misuses HTTP/2 harms nobody else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import grpc
import psutil
import pytest

from benchmarks.testbed.server import ServerProcess
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support.calls import connect, read_all
from support.http2_raw import PING, PREFACE, READY, Requests, endless_headers, open_raw
from support.wire_requests import make_request

GENERATE = "/lstmserve.v1.GenerationService/Generate"
NUM_HALF_OPEN = 1000
NUM_CALLS = 30
NUM_RESETS = 20_000
NUM_FRAMES = 20_000
FRAME_BYTES = 10_000  # so many in all as would fill the machine's memory if they were kept
MAX_GROWTH_BYTES = 64 << 20


def call(target: str) -> None:
    """A whole reply, over a connection of its own."""
    with connect(target) as channel:
        events = [*GenerationServiceStub(channel).Generate(make_request(), timeout=30)]
        assert events[-1].HasField("completion")


def send_pings(target: str) -> None:
    with open_raw(target, READY) as connection:
        for _ in range(NUM_FRAMES):
            connection.sendall(PING)


def send_headers(target: str) -> None:
    first, more = endless_headers(FRAME_BYTES)
    with open_raw(target, READY + first) as connection:
        for _ in range(NUM_FRAMES):
            connection.sendall(more)


def send_resets(target: str) -> None:
    requests = Requests(GENERATE)
    with open_raw(target, READY) as connection, draining(connection.recv):
        for _ in range(NUM_RESETS):
            connection.sendall(requests.begin_and_cancel())


@contextmanager
def draining(receive: Callable[[int], bytes]) -> Iterator[None]:
    """Take what the server answers: one that takes nothing is slowed down by TCP alone."""

    def drain() -> None:
        with suppress(OSError):
            while receive(1 << 16):
                pass

    thread = threading.Thread(target=drain, daemon=True)
    thread.start()
    yield


@pytest.mark.parametrize("flood", [send_pings, send_headers, send_resets])
def test_others_are_served_during_a_flood_and_nothing_of_it_is_kept(
    server: ServerProcess, flood: Callable[[str], None]
) -> None:
    process = psutil.Process(server.process.pid)
    call(server.target)
    before = process.memory_info().rss

    def run() -> None:
        with suppress(OSError):  # the server has had enough
            flood(server.target)

    thread = threading.Thread(target=run)
    thread.start()
    num_calls = 0
    while thread.is_alive() or num_calls < NUM_CALLS:
        call(server.target)
        num_calls += 1
    assert process.memory_info().rss - before < MAX_GROWTH_BYTES


@pytest.mark.parametrize("sent", [b"", PREFACE[:9], PREFACE])
def test_others_are_served_beside_a_thousand_who_say_nothing(
    server: ServerProcess, sent: bytes
) -> None:
    with ExitStack() as stack:
        for _ in range(NUM_HALF_OPEN):
            stack.enter_context(open_raw(server.target, sent))
        for _ in range(NUM_CALLS):
            call(server.target)


@pytest.mark.parametrize(
    ("num_bytes", "code"),
    [(4096, None), (20_000, grpc.StatusCode.RESOURCE_EXHAUSTED)],
)
def test_metadata_is_bounded(
    server: ServerProcess, num_bytes: int, code: grpc.StatusCode | None
) -> None:
    metadata = (("authorization", "x" * num_bytes),)
    with connect(server.target) as channel:
        stream = GenerationServiceStub(channel).Generate(make_request(), metadata=metadata)
        if code is None:
            assert [*stream][-1].HasField("completion")
            return
        _, error = read_all(stream)
        assert error is not None
        assert error.code() is code


@pytest.mark.parametrize("workers", ["1", "2"])
def test_connections_that_grow_old_lose_no_reply(tiny_store: Path, workers: str) -> None:
    """Each is closed after a tenth of a second, and calls go on over the next."""
    options = ("--max-connection-age-seconds", "0.1", "--workers", workers)
    with ServerProcess(tiny_store, *options) as process, connect(process.target) as channel:
        stub = GenerationServiceStub(channel)
        states: list[grpc.ChannelConnectivity] = []
        channel.subscribe(states.append)
        num_replies = 0
        while states.count(grpc.ChannelConnectivity.READY) < 5:
            streams = [stub.Generate(make_request(seed=number)) for number in range(8)]
            replies = [[*stream] for stream in streams]
            assert all(events[-1].HasField("completion") for events in replies)
            num_replies += len(replies)
        assert num_replies >= 8
