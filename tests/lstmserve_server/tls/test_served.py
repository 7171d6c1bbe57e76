"""TLS as callers meet it: who is trusted by whom, and certificates that change under load."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from benchmarks.testbed.server import ServerProcess
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from support.calls import LONG, connect, read_all
from support.certificates import (
    LONG_AGO,
    NAME,
    Authority,
    Mounted,
    Pair,
    connect_securely,
    options_of,
    shown_by,
)
from support.metrics_page import MetricsPage

AUTHORITY, STRANGER = Authority(), Authority()
FIRST, SECOND = AUTHORITY.issue(), AUTHORITY.issue()
NUM_STREAMS = 8
MAX_CONNECTIONS = 5000  # until a new certificate must have been seen


def check(channel: grpc.Channel) -> str:
    """The health of a server, or the status of not getting at it."""
    try:
        answer = HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    except grpc.RpcError as error:
        return str(error.code().name)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


@pytest.fixture(scope="module")
def server(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = FIRST.write(tmp_path_factory.mktemp("pair"))
    with ServerProcess(tiny_store, *options_of(folder)) as process:
        yield process


def demand(folder: Path, *authorities: Authority) -> tuple[str, ...]:
    """Options of a server that asks callers for certificates."""
    file = folder / "ca.crt"
    file.write_bytes(b"".join(authority.pem for authority in authorities))
    return *options_of(folder), "--tls-client-authority", str(file)


@pytest.fixture(scope="module")
def strict(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = FIRST.write(tmp_path_factory.mktemp("pair"))
    with ServerProcess(tiny_store, *demand(folder, AUTHORITY)) as process:
        yield process


def test_who_trusts_the_authority_is_served(server: ServerProcess) -> None:
    with connect_securely(server.target, AUTHORITY) as channel:
        assert check(channel) == "SERVING"


def test_who_trusts_another_does_not_speak_to_it(server: ServerProcess) -> None:
    with connect_securely(server.target, STRANGER) as channel:
        assert check(channel) == "UNAVAILABLE"


def test_nothing_is_served_in_clear(server: ServerProcess) -> None:
    with connect(server.target) as channel:
        assert check(channel) == "UNAVAILABLE"


def test_who_asks_for_tls_gets_nothing_in_clear(tiny_store: Path) -> None:
    with (
        ServerProcess(tiny_store) as clear,
        connect_securely(clear.target, AUTHORITY) as channel,
    ):
        assert check(channel) == "UNAVAILABLE"
        assert MetricsPage(clear.metrics_url).total("requests_total") == 0


@pytest.mark.parametrize(
    ("pair", "status"),
    [
        (AUTHORITY.issue("caller.example"), "SERVING"),
        (AUTHORITY.issue_through_another(), "SERVING"),
        (None, "UNAVAILABLE"),
        (STRANGER.issue("caller.example"), "UNAVAILABLE"),
        (AUTHORITY.issue("caller.example", not_after=LONG_AGO), "UNAVAILABLE"),
    ],
    ids=["its own", "by way of another", "none", "a stranger's", "expired"],
)
def test_callers_need_a_certificate_of_the_authority(
    strict: ServerProcess, pair: Pair | None, status: str
) -> None:
    with connect_securely(strict.target, AUTHORITY, pair) as channel:
        assert check(channel) == status


def ask_page(server: ServerProcess, path: str, body: object = None) -> str:
    url = server.metrics_url.removesuffix("/metrics") + path
    data = None if body is None else json.dumps(body).encode()
    asked = Request(url, data, {"Content-Type": "application/json"})
    with urlopen(asked) as answer:
        return str(answer.read().decode())


def try_page(server: ServerProcess) -> None:
    assert json.loads(ask_page(server, "/api/models"))["models"][0]["name"] == "tiny"
    *_, last = ask_page(server, "/api/generate", {"prompt": "hello"}).splitlines()
    assert "completion" in json.loads(last)


@pytest.mark.parametrize(
    ("name", "workers"), [("*.lstmserve.example", "1"), ("127.0.0.1", "1"), (NAME, "2")]
)
def test_the_page_calls_a_server_by_a_name_of_its_certificate(
    tiny_store: Path, tmp_path: Path, name: str, workers: str
) -> None:
    options = options_of(AUTHORITY.issue(name).write(tmp_path))
    with ServerProcess(tiny_store, *options, "--workers", workers) as process:
        try_page(process)


def test_where_callers_need_certificates_there_is_a_page_only_if_asked_for(
    tiny_store: Path, tmp_path: Path, strict: ServerProcess
) -> None:
    with pytest.raises(OSError, match="404"):
        ask_page(strict, "/")
    options = demand(FIRST.write(tmp_path), AUTHORITY)
    with ServerProcess(tiny_store, *options, "--page", "on") as process:
        try_page(process)


def test_a_page_whose_server_is_no_client_by_its_authority_says_so(
    tiny_store: Path, tmp_path: Path
) -> None:
    options = demand(FIRST.write(tmp_path), STRANGER)
    with (
        ServerProcess(tiny_store, *options, "--page", "on") as process,
        pytest.raises(OSError, match="503"),
    ):
        ask_page(process, "/api/models")


def is_page_well(server: ServerProcess) -> bool:
    try:
        try_page(server)
    except OSError:  # 503
        return False
    return True


def connect_until(target: str, is_seen: Callable[[], bool]) -> None:
    """New connections, each served, until something is so."""
    for _ in range(MAX_CONNECTIONS):
        with connect_securely(target, AUTHORITY) as channel:
            assert check(channel) == "SERVING"
        if is_seen():
            return
    raise AssertionError("not seen")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_new_certificate_reaches_new_connections_and_running_streams_go_on(
    tiny_store: Path, tmp_path: Path, workers: str
) -> None:
    mounted = Mounted(tmp_path / "secret", FIRST)
    options = (*options_of(mounted.folder), "--workers", workers)
    with (
        ServerProcess(tiny_store, *options) as process,
        connect_securely(process.target, AUTHORITY) as channel,
    ):
        stub = GenerationServiceStub(channel)
        streams = [stub.Generate(LONG) for _ in range(NUM_STREAMS)]
        firsts = [next(stream) for stream in streams]
        assert len(firsts) == NUM_STREAMS
        assert shown_by(process.target) == FIRST.first
        mounted.put(SECOND)
        connect_until(process.target, lambda: shown_by(process.target) == SECOND.first)
        for events, error in map(read_all, streams):
            assert error is None
            assert events[-1].HasField("completion")
        # a connection made by the old certificate goes on; the page's next one trusts the new
        assert check(channel) == "SERVING"
        connect_until(process.target, lambda: is_page_well(process))


def test_a_broken_new_pair_is_told_and_counted_and_the_old_one_stays(
    tiny_store: Path, tmp_path: Path
) -> None:
    folder = FIRST.write(tmp_path)
    with ServerProcess(tiny_store, *options_of(folder)) as process:
        before = MetricsPage(process.metrics_url)
        assert before.total("tls_certificate_expiry_timestamp_seconds") > 1e9
        assert before.total("tls_reload_failures_total") == 0
        (folder / "tls.key").write_bytes(SECOND.key)
        connect_until(process.target, lambda: has_failed(process))
        assert shown_by(process.target) == FIRST.first
        SECOND.write(folder)
        connect_until(process.target, lambda: shown_by(process.target) == SECOND.first)
        assert has_failed(process)
        process.stop()  # all is written then
        logged = [line for line in process.read_log().splitlines() if '"level":"error"' in line]
        assert ["does not fit" in line for line in logged] == [True]


def has_failed(process: ServerProcess) -> bool:
    return MetricsPage(process.metrics_url).total("tls_reload_failures_total") == 1


def test_without_tls_there_is_no_certificate_that_could_expire(tiny_store: Path) -> None:
    with ServerProcess(tiny_store) as process:
        names = {sample.name for sample in MetricsPage(process.metrics_url).samples}
        assert "tls_certificate_expiry_timestamp_seconds" not in names
        assert "tls_reload_failures_total" in names
