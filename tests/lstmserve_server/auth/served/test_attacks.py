"""Who is not known gets nothing and learns nothing; who is known gets what its scopes say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from benchmarks.testbed.process import run_program
from benchmarks.testbed.server import command
from lstmserve_server.auth.tokens import hash_token, make_token
from lstmserve_server.rpc.permissions import NEEDS, Need
from support.callers import Callers, bearer
from support.calls import connect, find_detail
from support.metrics_page import scrape_until
from support.refusals import find_refusal, reason_of, serve_callers, try_once
from support.served import Served

UNKNOWN = make_token()


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Callers:
    made = Callers(tmp_path_factory.mktemp("callers") / "callers.toml")
    made.add("shop", "generate")
    made.add("ops", "admin")
    made.add("all", "admin", "generate")
    return made


@pytest.fixture(scope="module")
def served(tiny_store: Path, known: Callers) -> Iterator[Served]:
    with serve_callers(tiny_store, known) as running:
        yield running


@pytest.fixture
def channel(served: Served) -> Iterator[grpc.Channel]:
    with connect(served.process.target) as opened:
        yield opened


def call(channel: grpc.Channel, method: str, metadata: object) -> str:
    """How a call with an empty request ends: OK, or the error's reason."""
    begin = channel.unary_stream if method.endswith("/Generate") else channel.unary_unary
    try:
        reply = begin(f"/{method}")(b"", metadata=metadata)
        if not isinstance(reply, bytes):
            list(reply)
    except grpc.RpcError as error:
        return reason_of(error)
    return "OK"


def test_whoever_is_known_gets_a_reply(served: Served, known: Callers) -> None:
    token = known.tokens["shop"]
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert try_once(served, bearer(token, scheme)) == "OK"


def attempts(token: str) -> dict[str, tuple[tuple[str, str | bytes], ...]]:
    """What attackers send, who may know how a token looks, or even one in a wrong place."""
    key = "authorization"
    return {
        "nothing": (),
        "unknown": bearer(UNKNOWN),
        "wrong case": bearer(f"lst_{token[4:].swapcase()}"),
        "cut": bearer(token[:-1]),
        "longer": bearer(token + "A"),
        "hash": bearer(f"sha256:{hash_token(token).hex()}"),
        "other scheme": bearer(token, "Basic"),
        "no scheme": ((key, token),),
        "empty": ((key, ""),),
        "scheme alone": ((key, "Bearer "),),
        "binary": (("authorization-bin", f"Bearer {token}".encode()),),
        "other key": (("x-authorization", f"Bearer {token}"),),
        "twice": (*bearer(UNKNOWN), *bearer(token)),
        "the same twice": (*bearer(token), *bearer(token)),
        "many": (*bearer(UNKNOWN) * 50, *bearer(token)),
        "huge": ((key, "Bearer " + "A" * 5_000),),
        "a name": (("x-caller-id", "shop"),),
    }


@pytest.mark.parametrize("how", attempts(""))
def test_whoever_is_not_known_is_told_the_same(served: Served, known: Callers, how: str) -> None:
    refused = find_refusal(served, attempts(known.tokens["shop"])[how])
    nothing = find_refusal(served, ())
    assert refused is not None
    assert nothing is not None
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED
    assert reason_of(refused) == "UNAUTHENTICATED"
    assert refused.details() == nothing.details()
    said = f"{refused.details()} {refused.initial_metadata()} {refused.trailing_metadata()}"
    assert "lst_" not in said
    assert "AAAA" not in said


def test_more_metadata_than_grpc_takes_is_no_way_in(served: Served, known: Callers) -> None:
    """Refused before this service sees the call; and the connection goes on."""
    huge = (("authorization", "Bearer " + "A" * 100_000),)
    with connect(served.process.target) as channel:
        method = channel.unary_unary("/lstmserve.v1.ModelService/ListModels")
        with pytest.raises(grpc.RpcError) as caught:
            method(b"", metadata=huge)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert method(b"", metadata=known.of("shop"))


@pytest.mark.parametrize(
    "method", [name for name, need in NEEDS.items() if need is not Need.NOTHING]
)
def test_every_method_is_closed_to_strangers(channel: grpc.Channel, method: str) -> None:
    if method.startswith("grpc.reflection."):
        with pytest.raises(grpc.RpcError) as caught:
            reflect(channel, ())
        assert reason_of(caught.value) == "UNAUTHENTICATED"
    else:
        for metadata in ((), bearer(UNKNOWN)):
            assert call(channel, method, metadata) == "UNAUTHENTICATED"


@pytest.mark.parametrize("who", ["shop", "ops"])
def test_scopes_are_what_the_table_says(channel: grpc.Channel, known: Callers, who: str) -> None:
    own = [method for method in NEEDS if method.startswith("lstmserve.")]
    denied = {method for method in own if call(channel, method, known.of(who)) == DENIED}
    scope = {"shop": "admin", "ops": "generate"}[who]
    assert denied == {method for method in own if NEEDS[method].value == scope}


DENIED = "PERMISSION_DENIED"


def test_who_lacks_a_scope_is_told_which(channel: grpc.Channel, known: Callers) -> None:
    purge = channel.unary_unary("/lstmserve.v1.CacheService/PurgeCache")
    with pytest.raises(grpc.RpcError, match="needs the scope 'admin', which 'shop' does not have"):
        purge(b"", metadata=known.of("shop"))


def reflect(channel: grpc.Channel, metadata: object) -> set[str]:
    """The services that reflection lists."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    (answer,) = stub.ServerReflectionInfo(iter([request]), metadata=metadata)
    return {service.name for service in answer.list_services_response.service}


def test_reflection_is_for_principals_and_health_for_all(
    channel: grpc.Channel, known: Callers
) -> None:
    assert "lstmserve.v1.GenerationService" in reflect(channel, known.of("ops"))
    check = channel.unary_unary("/grpc.health.v1.Health/Check")
    answer = health_pb2.HealthCheckResponse.FromString(check(b""))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_what_does_not_exist_is_no_way_in(channel: grpc.Channel, known: Callers) -> None:
    for metadata in ((), known.of("all")):
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/lstmserve.v1.ModelService/Rename")(b"", metadata=metadata)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_nothing_of_a_strangers_request_is_read(channel: grpc.Channel) -> None:
    """Else it would be told what is wrong with it."""
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/lstmserve.v1.GenerationService/GenerateReply")(b"\xff" * 1000)
    assert reason_of(caught.value) == "UNAUTHENTICATED"


def test_attempts_are_counted_by_what_was_wrong(tiny_store: Path, known: Callers) -> None:
    with serve_callers(tiny_store, known) as served:
        tries = attempts(known.tokens["shop"])
        for how in ("nothing", "unknown", "wrong case", "twice", "empty", "binary"):
            try_once(served, tries[how])
        page = scrape_until(
            served.process.metrics_url,
            lambda page: page.values("rejected_total", "reason").get(("unauthenticated",)) == 6,
        )
        assert page.values("unauthenticated_total", "reason") == {
            ("missing",): 2,
            ("malformed",): 2,
            ("unknown_token",): 2,
            ("unknown_certificate",): 0,
        }


def test_no_secret_shows_anywhere(tiny_store: Path, known: Callers) -> None:
    with serve_callers(tiny_store, known, "--log-level", "DEBUG") as served:
        for metadata in attempts(known.tokens["shop"]).values():
            try_once(served, metadata)
        assert try_once(served, known.of("shop", "a-user")) == "OK"
        seen = [
            " ".join(psutil.Process(served.process.process.pid).cmdline()),
            repr(served.page().samples),
            run_program(command("--help"), capture_output=True, text=True, check=True).stdout,
        ]
        served.process.stop()
        log = served.process.read_log()
    lines = [json.loads(line) for line in log.splitlines()]
    (done,) = [line for line in lines if line.get("code") == "OK"]
    assert done["caller"] == "shop"
    refused = [line for line in lines if line.get("error") == "UNAUTHENTICATED"]
    assert {line["caller"] for line in refused} == {""}
    hashes = [hash_token(token).hex() for token in known.tokens.values()]
    for secret in (*known.tokens.values(), *hashes, UNKNOWN, "AAAA"):
        assert not any(secret in text for text in (*seen, log))


def test_a_strangers_name_is_not_taken_at_its_word(served: Served) -> None:
    refused = find_refusal(served, (("x-caller-id", "no name at all!"),))
    assert reason_of(refused) == "UNAUTHENTICATED"


def test_a_flood_is_refused_with_the_time_to_wait(tiny_store: Path, callers: Callers) -> None:
    callers.add("flood", "generate", requests_per_second=0.001, burst=3)
    with serve_callers(tiny_store, callers) as served:
        ended = [find_refusal(served, callers.of("flood", str(n))) for n in range(6)]
        assert [reason_of(error) for error in ended] == ["OK"] * 3 + ["RATE_LIMIT"] * 3
        for refused in ended[3:]:
            assert refused is not None
            retry = retry_seconds(refused)
            assert 900 < retry <= 1000
        assert try_once(served, callers.of("shop")) == "OK"
        page = scrape_until(
            served.process.metrics_url,
            lambda page: page.values("rejected_total", "reason").get(("rate_limit",)) == 3,
        )
        assert page.values("requests_total", "code")["RESOURCE_EXHAUSTED",] == 3


def retry_seconds(error: grpc.RpcError) -> float:
    delay: float = find_detail(error, RetryInfo).retry_delay.ToMilliseconds() / 1000
    return delay
