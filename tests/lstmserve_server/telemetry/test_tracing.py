"""RPCs of a real server as the spans that a collector gets."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import grpc
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from benchmarks.testbed.process import run_program
from benchmarks.testbed.server import ServerProcess, command
from lstmserve.v1 import cache_service_pb2 as cache_pb
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2 as model_pb
from lstmserve.v1.cache_service_pb2_grpc import CacheServiceStub
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from lstmserve.v1.model_service_pb2_grpc import ModelServiceStub
from lstmserve_server.telemetry import spans
from support.calls import LONG, connect, read_all
from support.metrics_page import scrape_until
from support.trace_collector import TraceCollector, collect_traces, read
from support.wire_requests import make_request

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"
NO_REDIS = ("--redis-url", "redis://127.0.0.1:1")  # to purge it is what the server fails at
SAMPLED = f"00-{TRACE_ID}-{PARENT_ID}-01"
NOT_SAMPLED = f"00-{TRACE_ID}-{PARENT_ID}-00"
SECRET = "Xyzzy-93-Plugh"

Metadata = tuple[tuple[str, str], ...]
Log = list[dict[str, Any]]
OPEN_METRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


def named(request_id: str, *more: tuple[str, str]) -> Metadata:
    return (("x-request-id", request_id), *more)


def read_lines(server: ServerProcess) -> Log:
    return server.read_entries()


def line_of(log: Log, request_id: str) -> dict[str, Any]:
    (found,) = (line for line in log if line.get("request_id") == request_id)
    return found


@pytest.fixture(scope="module")
def traced(tiny_store: Path) -> Iterator[tuple[TraceCollector, Log]]:
    """What a collector got of a server's calls, and the log of that server."""
    with collect_traces() as collector:
        options = ("--trace-endpoint", collector.endpoint, "--cache-threshold", "1", *NO_REDIS)
        with ServerProcess(tiny_store, *options) as server:
            with connect(server.target, narrow=True) as channel:
                make_calls(channel)
            assert server.stop() == 0
            yield collector, read_lines(server)


def make_calls(channel: grpc.Channel) -> None:
    stub = GenerationServiceStub(channel)
    asked = make_request(f"my password is {SECRET}", seed=7)
    bypass = make_request("where is my parcel", seed=7, mode=pb.CACHE_MODE_BYPASS)
    for request, metadata in (
        (
            asked,
            named(
                "miss",
                ("traceparent", SAMPLED),
                ("tracestate", "vendor=1"),
                ("x-caller-id", "bot-1"),
            ),
        ),
        (asked, named("hit", ("baggage", f"user={SECRET}"))),
        (bypass, named("bypass")),
        (bypass, named("not-sampled", ("traceparent", NOT_SAMPLED))),
        (bypass, named("garbled", ("traceparent", SAMPLED.upper()))),
    ):
        _, error = read_all(stub.Generate(request, metadata=metadata))
        assert error is None
    unary = pb.GenerateReplyRequest(prompt="hello", cache_mode=pb.CACHE_MODE_BYPASS)
    stub.GenerateReply(unary, metadata=named("unary"))
    ModelServiceStub(channel).ListModels(model_pb.ListModelsRequest(), metadata=named("models"))
    unknown = pb.GenerateReplyRequest(model="who", prompt=SECRET)
    with pytest.raises(grpc.RpcError):
        stub.GenerateReply(unknown, metadata=named("refused"))
    with pytest.raises(grpc.RpcError):
        CacheServiceStub(channel).PurgeCache(cache_pb.PurgeCacheRequest(), metadata=named("failed"))
    cancelled = stub.Generate(LONG, metadata=named("cancelled"))
    next(cancelled)
    cancelled.cancel()


def test_a_call_is_a_server_span_of_its_caller_s_trace(traced: tuple[TraceCollector, Log]) -> None:
    span = traced[0].of_request("miss")
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
    assert (span.trace_state, span.kind) == ("vendor=1", Span.SPAN_KIND_SERVER)
    assert span.name == "lstmserve.v1.GenerationService/Generate"


@pytest.mark.parametrize("request_id", ["hit", "bypass", "unary", "models", "garbled"])
def test_a_caller_without_a_trace_begins_one(
    traced: tuple[TraceCollector, Log], request_id: str
) -> None:
    span = traced[0].of_request(request_id)
    assert not span.parent_span_id
    assert span.trace_id.hex() != TRACE_ID


def test_a_span_tells_what_the_log_tells(traced: tuple[TraceCollector, Log]) -> None:
    collector, log = traced
    line, facts = line_of(log, "miss"), read(collector.of_request("miss"))
    assert facts == {
        "rpc.system": "grpc",
        "rpc.service": "lstmserve.v1.GenerationService",
        "rpc.method": "Generate",
        "rpc.grpc.status_code": 0,
        "lstmserve.request_id": "miss",
        "lstmserve.caller": "bot-1",
        "lstmserve.model": "tiny",
        "lstmserve.model_version": "1",
        "lstmserve.finish_reason": line["finish_reason"],
        "lstmserve.cache": "miss",
        "lstmserve.prompt_tokens": line["prompt_tokens"],
        "lstmserve.generated_tokens": line["generated_tokens"],
    }


STAGES = {
    "miss": ["cache lookup", "queue", "prefill", "decode"],
    "bypass": ["queue", "prefill", "decode"],
    "unary": ["queue", "prefill", "decode"],
    "hit": ["cache lookup"],
    "models": [],
    "refused": [],
    "cancelled": [],
}


@pytest.mark.parametrize("request_id", STAGES)
def test_what_a_call_waited_for_are_spans_within_it_one_after_another(
    traced: tuple[TraceCollector, Log], request_id: str
) -> None:
    parent = traced[0].of_request(request_id)
    children = traced[0].children_of(parent)
    assert [child.name for child in children] == STAGES[request_id]
    assert all(child.trace_id == parent.trace_id for child in children)
    moments = [
        parent.start_time_unix_nano,
        *(m for child in children for m in (child.start_time_unix_nano, child.end_time_unix_nano)),
        parent.end_time_unix_nano,
    ]
    assert moments == sorted(moments)


def test_spans_last_as_long_as_the_log_says(traced: tuple[TraceCollector, Log]) -> None:
    collector, log = traced
    line, parent = line_of(log, "bypass"), collector.of_request("bypass")
    lasted = {
        span.name: (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
        for span in collector.children_of(parent)
    }
    for name, seconds in lasted.items():
        assert seconds == pytest.approx(line[f"{name}_seconds"], abs=2e-6)
    whole = (parent.end_time_unix_nano - parent.start_time_unix_nano) / 1e9
    assert whole == pytest.approx(line["seconds"], abs=2e-6)


@pytest.mark.parametrize(
    ("request_id", "status", "code"),
    [
        ("bypass", Status.STATUS_CODE_UNSET, 0),
        ("failed", Status.STATUS_CODE_ERROR, 14),
        # by OpenTelemetry's conventions no failure of a server
        ("refused", Status.STATUS_CODE_UNSET, 5),
        ("cancelled", Status.STATUS_CODE_UNSET, 1),
    ],
)
def test_a_failure_of_the_server_is_an_error(
    traced: tuple[TraceCollector, Log], request_id: str, status: int, code: int
) -> None:
    span = traced[0].of_request(request_id)
    assert (span.status.code, read(span)["rpc.grpc.status_code"]) == (status, code)


def test_a_call_whose_caller_does_not_sample_leaves_no_span(
    traced: tuple[TraceCollector, Log],
) -> None:
    collector, log = traced
    assert line_of(log, "not-sampled")["code"] == "OK"
    assert "not-sampled" not in {read(span).get("lstmserve.request_id") for span in collector.spans}


def test_the_log_names_the_trace(traced: tuple[TraceCollector, Log]) -> None:
    collector, log = traced
    for request_id in ("miss", "hit", "models", "refused"):
        span = collector.of_request(request_id)
        assert line_of(log, request_id)["trace_id"] == span.trace_id.hex()
    assert line_of(log, "not-sampled")["trace_id"] == TRACE_ID


def test_what_people_write_is_in_no_span(traced: tuple[TraceCollector, Log]) -> None:
    assert all(SECRET.encode() not in each.SerializeToString() for each in traced[0].received)


def test_the_server_is_named(traced: tuple[TraceCollector, Log]) -> None:
    facts = {each.key: each.value for each in traced[0].received[0].resource.attributes}
    assert facts["service.name"].string_value == "lstmserve"
    assert facts["service.version"].string_value
    assert facts["process.pid"].int_value


def test_of_callers_who_do_not_decide_none_is_traced_at_ratio_zero(tiny_store: Path) -> None:
    with collect_traces() as collector:
        options = ("--trace-endpoint", collector.endpoint, "--trace-ratio", "0")
        with ServerProcess(tiny_store, *options) as server:
            with connect(server.target) as channel:
                stub = GenerationServiceStub(channel)
                request = pb.GenerateReplyRequest(prompt="hello")
                stub.GenerateReply(request, metadata=named("undecided"))
                stub.GenerateReply(request, metadata=named("wanted", ("traceparent", SAMPLED)))
            assert server.stop() == 0
            log = read_lines(server)
        ids = {read(span).get("lstmserve.request_id") for span in collector.spans}
    assert ids - {None} == {"wanted"}
    assert "trace_id" not in line_of(log, "undecided")


def test_a_bucket_leads_to_a_trace(tiny_store: Path) -> None:
    with collect_traces() as collector:
        options = ("--trace-endpoint", collector.endpoint)
        with ServerProcess(tiny_store, *options) as server:
            with connect(server.target) as channel:
                metadata = named("one", ("traceparent", SAMPLED))
                ModelServiceStub(channel).ListModels(
                    model_pb.ListModelsRequest(), metadata=metadata
                )
            scrape_until(server.metrics_url, lambda page: page.total("requests_total") == 1)
            with urlopen(Request(server.metrics_url, headers=OPEN_METRICS)) as answer:
                assert f'trace_id="{TRACE_ID}"' in answer.read().decode()


def test_workers_trace_too(tiny_store: Path) -> None:
    with collect_traces() as collector:
        options = ("--trace-endpoint", collector.endpoint, "--workers", "2")
        with ServerProcess(tiny_store, *options) as server:
            with connect(server.target) as channel:
                request = pb.GenerateReplyRequest(prompt="hello")
                GenerationServiceStub(channel).GenerateReply(request, metadata=named("one"))
            assert server.stop() == 0
        assert collector.of_request("one").name.endswith("/GenerateReply")


def test_without_a_collector_one_warning_is_all_that_is_noticed(
    tiny_store: Path, unused_tcp_port: int
) -> None:
    endpoint = f"http://127.0.0.1:{unused_tcp_port}"
    with ServerProcess(tiny_store, "--trace-endpoint", endpoint) as server:
        with connect(server.target) as channel:
            request = pb.GenerateReplyRequest(prompt="hello")
            assert GenerationServiceStub(channel).GenerateReply(request).text
        assert server.stop() == 0
        log = read_lines(server)  # every line of it is ours: no traceback stands between them
    (warning,) = (line for line in log if line["level"] in {"warning", "error"})
    assert warning["event"] == "opentelemetry"
    assert endpoint.removeprefix("http://") in warning["problem"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_collector_on_this_machine_is_asked_without_a_proxy(
    tiny_store: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Which has a localhost of its own, or none."""
    with collect_traces() as collector:
        endpoint = collector.endpoint.replace("127.0.0.1", host)
        for variable in ("grpc_proxy", "https_proxy", "http_proxy"):
            monkeypatch.setenv(variable, "http://127.0.0.1:9")
        with ServerProcess(tiny_store, "--trace-endpoint", endpoint) as server:
            monkeypatch.undo()
            with connect(server.target) as channel:
                request = pb.GenerateReplyRequest(prompt="hello")
                GenerationServiceStub(channel).GenerateReply(request, metadata=named("one"))
            assert server.stop() == 0
        assert collector.of_request("one").name.endswith("/GenerateReply")


def test_a_collector_elsewhere_is_asked_as_the_environment_says() -> None:
    assert spans._channel_options("http://traces.invalid:4317") == ()
    assert spans._channel_options("http://[::1]:4317") == (("grpc.enable_http_proxy", 0),)


def test_a_collector_that_does_not_answer_does_not_keep_the_server(tiny_store: Path) -> None:
    with collect_traces(answers=False) as collector:
        with ServerProcess(tiny_store, "--trace-endpoint", collector.endpoint) as server:
            with connect(server.target) as channel:
                request = pb.GenerateReplyRequest(prompt="hello")
                assert GenerationServiceStub(channel).GenerateReply(request).text
            assert server.stop() == 0  # while the collector still holds the batch
        assert collector.asked.is_set()
        assert not collector.received


def test_without_an_endpoint_nothing_for_traces_is_imported() -> None:
    # of the library redis imports some parts by itself, where it is installed
    script = (
        "import sys, lstmserve_server.app, lstmserve_server.telemetry.tracing as tracing;"
        "assert tracing.make_tracer(None) is None;"
        "parts = ('lstmserve_server.telemetry.spans', 'opentelemetry.exporter');"
        "print([name for name in sys.modules if name.startswith(parts)])"
    )
    run = run_program([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_a_missing_library_is_named_with_what_to_install(tiny_store: Path) -> None:
    script = (
        "import sys; sys.modules['opentelemetry'] = None;"
        "from lstmserve_server.cli import main; main()"
    )
    options = command(
        *("--model-store", str(tiny_store), "--trace-endpoint", "http://127.0.0.1:1"),
        *("--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"),
        program=("-c", script),
    )
    run = run_program(options, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    last = run.stderr.splitlines()[-1]
    assert last.startswith("lstmserve-server: --trace-endpoint: opentelemetry")
    assert last.endswith("pip install '.[server,tracing]'")
