"""Every bound of a connection acts."""

from __future__ import annotations

import select
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub, add_HealthServicer_to_server
from hyperframe.frame import GoAwayFrame, PingFrame, RstStreamFrame, SettingsFrame

from benchmarks.testbed.loop_thread import LoopThread
from lstmserve_server.config import Address, DrainConfig, ServerConfig, StoreConfig, WireConfig
from lstmserve_server.rpc.channel_options import MIN_PING_MS, Options, make_options
from support.calls import connect
from support.certificates import Authority
from support.fake_server import FakeHealth
from support.http2_raw import (
    PING,
    PREFACE,
    READY,
    SETTINGS,
    Requests,
    endless_headers,
    farewell,
    open_raw,
    read_frames,
)

SOON = 0.2
NOWHERE = Address("127.0.0.1", 0)
CONFIG = ServerConfig(NOWHERE, NOWHERE, StoreConfig(Path("none")))
CHECK = "/grpc.health.v1.Health/Check"
WATCH = health_pb2.HealthCheckRequest()
PAIR = Authority().issue()
REFUSED_STREAM = 7
CLIENT_PING_MS = 5_000  # of our own client


@contextmanager
def listen(
    wire: WireConfig, *more: tuple[str, int], secure: bool = False, grace_seconds: float = 30
) -> Iterator[str]:
    """Where a server listens that has nothing but health and our options, or ``more`` instead."""
    config = replace(CONFIG, wire=wire, drain=DrainConfig(grace_seconds))
    options: Options = tuple({**dict(make_options(config)), **dict(more)}.items())

    async def start() -> tuple[grpc.aio.Server, str]:
        server = grpc.aio.server(options=options)
        add_HealthServicer_to_server(FakeHealth(), server)
        pair = grpc.ssl_server_credentials([(PAIR.key, PAIR.chain)])
        place = "127.0.0.1:0"
        port = server.add_secure_port(place, pair) if secure else server.add_insecure_port(place)
        await server.start()
        return server, f"127.0.0.1:{port}"

    with LoopThread("a server of health alone") as loop:
        server, target = loop.run(start())
        try:
            yield target
        finally:
            loop.run(server.stop(None))


def read_to_end(messages: Iterable[object]) -> None:
    for _ in messages:
        pass


def is_serving(target: str) -> bool:
    with connect(target) as channel:
        try:
            answer = HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("sent", [b"", PREFACE[:9], PREFACE, PREFACE + SETTINGS])
def test_who_does_not_finish_the_handshake_is_dropped(sent: bytes, secure: bool) -> None:
    with listen(WireConfig(handshake_seconds=SOON), secure=secure) as target:
        assert len(farewell(target, sent)) <= 1  # and it ends


@pytest.mark.parametrize("sent", [b"", b"\x00\x00\x10\x01", endless_headers(100)[0]])
def test_who_does_not_finish_the_headers_is_dropped(sent: bytes) -> None:
    with listen(WireConfig(idle_seconds=SOON)) as target:
        assert farewell(target, READY + sent) == [b"connection idle"]


def test_who_waits_for_a_message_is_not_idle() -> None:
    with listen(WireConfig(idle_seconds=SOON)) as target, connect(target) as channel:
        watch = HealthStub(channel).Watch(WATCH)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        # another one, which has no calls, is idle meanwhile, from later on
        assert farewell(target, READY) == [b"connection idle"]
        assert watch.is_active()
        watch.cancel()


def test_connections_beyond_the_bound_are_closed_and_places_come_back() -> None:
    with listen(WireConfig(max_connections=3)) as target, ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(open_raw(target, READY))
        with open_raw(target) as one_more:
            assert [*read_frames(one_more)] == []
        assert not is_serving(target)
        stack.close()
        while not is_serving(target):  # as soon as it has noticed that they are gone
            pass


def test_calls_beyond_the_bound_of_a_connection_are_refused_by_the_protocol() -> None:
    with listen(WireConfig(max_streams=2)) as target:
        requests = Requests(CHECK)
        sent = b"".join(requests.begin() for _ in range(3))
        with open_raw(target, READY + sent) as connection:
            frames = read_frames(connection)
            first = next(frames)
            assert isinstance(first, SettingsFrame)
            assert first.settings[SettingsFrame.MAX_CONCURRENT_STREAMS] == 2
            refused = next(frame for frame in frames if isinstance(frame, RstStreamFrame))
            assert (refused.stream_id, refused.error_code) == (5, REFUSED_STREAM)


def test_an_old_connection_is_closed_when_its_calls_have_ended() -> None:
    with listen(WireConfig(age_seconds=SOON)) as target:
        with open_raw(target, READY) as connection:
            frames = read_frames(connection)
            goodbye = next(frame for frame in frames if isinstance(frame, GoAwayFrame))
        assert goodbye.additional_data == b"max_age"


def test_a_call_that_outlives_the_grace_is_cut_off_as_unavailable() -> None:
    with (
        listen(WireConfig(age_seconds=SOON), grace_seconds=SOON) as target,
        connect(target) as channel,
    ):
        watch = HealthStub(channel).Watch(WATCH)
        with pytest.raises(grpc.RpcError) as cut:
            read_to_end(watch)
        assert cut.value.code() is grpc.StatusCode.UNAVAILABLE


def test_our_clients_pings_are_not_too_many() -> None:
    assert MIN_PING_MS < CLIENT_PING_MS
    # the same a hundred times as fast: at its pace a client may ping for ever, without calls too
    scaled = ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_MS // 100)
    with listen(WireConfig(), scaled) as target, open_raw(target, READY) as connection:
        frames = read_frames(connection)
        for _ in range(10):
            connection.sendall(PING)
            next(frame for frame in frames if isinstance(frame, PingFrame))
            select.select([connection], [], [], CLIENT_PING_MS / 100 / 1000)
        connection.sendall(Requests(CHECK).begin_and_cancel() + PING)
        assert next(frames)


def test_who_pings_without_end_is_told_and_dropped() -> None:
    with listen(WireConfig()) as target:
        assert farewell(target, READY + PING * 10)[-1] == b"too_many_pings"
