"""A small server on a free port whose answers each test writes down."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import grpc
import pytest
from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.message import Message
from google.rpc import status_pb2
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from typer.testing import CliRunner, Result

from lstmserve.v1 import cache_service_pb2 as cache_pb
from lstmserve.v1 import (
    cache_service_pb2_grpc,
    generation_service_pb2_grpc,
    model_service_pb2_grpc,
    operations_service_pb2_grpc,
)
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2 as model_pb
from lstmserve.v1 import operations_service_pb2 as operations_pb
from lstmserve_client import AsyncClient, Client, RetryPolicy
from lstmserve_client.cli import app

Answer = TypeVar("Answer", pb.GenerateResponse, pb.GenerateReplyResponse)

Lstmserve = Callable[..., Result]

WAIT_SECONDS = 30  # far more than anything here takes
ONCE = RetryPolicy(max_attempts=1)  # what a single failure becomes


def _started() -> pb.Started:
    return pb.Started(
        model="support-en",
        model_version="3",
        model_digest="ab" * 32,
        seed=2**64 - 1,
        prompt_tokens=4,
        cache=pb.CACHE_OUTCOME_MISS,
        request_id="req-1",
    )


def _chunks() -> list[pb.Chunk]:
    top = [
        pb.TokenLogprob(token_id=7, logprob=-0.25, text="Hel"),
        pb.TokenLogprob(token_id=9, logprob=-2.0, text="[bold]no"),
    ]
    first = pb.Chunk(text="Hel", token_ids=[7], logprobs=[pb.TokenLogprobs(logprob=-0.25, top=top)])
    last = pb.Chunk(text="lo [bold]you", token_ids=[8, 2])
    last.logprobs.extend([pb.TokenLogprobs(logprob=-0.5), pb.TokenLogprobs(logprob=-1.0)])
    return [first, last]


def _completion() -> pb.Completion:
    return pb.Completion(
        finish_reason=pb.FINISH_REASON_END_OF_TEXT,
        usage=pb.Usage(prompt_tokens=4, generated_tokens=3, cached_prompt_tokens=1),
        timings=pb.Timings(
            time_to_first_token_seconds=0.0015, total_seconds=0.0075, saved_seconds=0.25
        ),
        cache=pb.CACHE_OUTCOME_MISS,
        labels=["intent:greet"],
    )


def _model() -> model_pb.Model:
    return model_pb.Model(
        name="support-en",
        version="3",
        digest="ab" * 32,
        state=model_pb.MODEL_STATE_READY,
        is_default=True,
        family="stacked-lstm",
        license="Apache-2.0",
        sizes=model_pb.ModelSizes(parameters=6_000_000, size_bytes=7_500_000, layers=2),
        limits=model_pb.ModelLimits(max_prompt_tokens=512, max_tokens=256),
        default_sampling=pb.SamplingParams(temperature=0.5, logit_bias={3: -1.0}),
        default_max_tokens=64,
        labels=["intent:greet"],
        evaluation={"perplexity": "15.0"},
    )


def _cache_stats() -> cache_pb.GetCacheStatsResponse:
    replies, states = cache_pb.CACHE_ENTRY_KIND_REPLY, cache_pb.CACHE_ENTRY_KIND_STATE
    figures = {"entries": 3210, "bytes": 53 << 20, "max_bytes": 64 << 20}
    return cache_pb.GetCacheStatsResponse(
        enabled=True,
        stores=[
            cache_pb.CacheStoreStats(
                store="memory", kind=replies, hits=1500, misses=500, stored=7, evicted=2, **figures
            ),
            cache_pb.CacheStoreStats(store="redis", kind=states, hits=1, misses=2, failures=5),
        ],
        redis=cache_pb.RedisStats(
            address="127.0.0.1:6379",
            available=True,
            used_bytes=3 << 19,
            max_bytes=1 << 30,
            eviction_policy="allkeys-lfu",
        ),
        coalesced_requests=17,
        saved_seconds=1234.5,
        threshold=2,
        variants=8,
    )


def _as_asked(answer: Answer, request: pb.GenerateRequest | pb.GenerateReplyRequest) -> Answer:
    """The answer, without log-probabilities if the request wants none."""
    if request.sampling.HasField("logprobs"):
        return answer
    copy = type(answer).FromString(answer.SerializeToString())
    if isinstance(copy, pb.GenerateReplyResponse):
        copy.ClearField("logprobs")
    elif copy.HasField("chunk"):
        copy.chunk.ClearField("logprobs")
    return copy


def _with_reason(details: tuple[Message, ...]) -> tuple[Message, ...]:
    if any(isinstance(detail, ErrorInfo) for detail in details):
        return details
    return (*details, ErrorInfo(reason="SOME_REASON", domain="lstmserve"))


def _to_status(code: grpc.StatusCode, message: str, *details: Message) -> grpc.Status:
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in details:
        packed = PackedAny()
        packed.Pack(detail)
        status.details.append(packed)
    return rpc_status.to_status(status)


ModelChange = (
    model_pb.LoadModelRequest
    | model_pb.UnloadModelRequest
    | model_pb.VerifyModelRequest
    | model_pb.SetDefaultModelRequest
    | model_pb.SetTrafficSplitRequest
)


class FakeServer(
    generation_service_pb2_grpc.GenerationServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
    cache_service_pb2_grpc.CacheServiceServicer,
    operations_service_pb2_grpc.OperationsServiceServicer,
):
    """Answers with ``events`` and ``reply``, or fails with ``failure``; ``failures`` are
    those of prompts that are warmed, each used up by its call.

    With ``hangs`` a call never ends by itself, with ``floods`` a stream repeats its second
    event; ``cancelled`` is set once the call is over, as when its caller left.
    """

    def __init__(self) -> None:
        self.target = ""
        self.requests: list[pb.GenerateRequest | pb.GenerateReplyRequest] = []
        self.metadata: list[dict[str, str]] = []  # of these requests, and of prompts warmed
        self.model = _model()
        self.events = [
            pb.GenerateResponse(started=_started()),
            *(pb.GenerateResponse(chunk=chunk) for chunk in _chunks()),
            pb.GenerateResponse(completion=_completion()),
        ]
        self.reply = pb.GenerateReplyResponse(
            text="Hello [bold]you",
            token_ids=[7, 8, 2],
            logprobs=[entry for chunk in _chunks() for entry in chunk.logprobs],
            started=_started(),
            completion=_completion(),
        )
        self.cache_stats = _cache_stats()
        self.changes: list[ModelChange] = []  # of what is served
        self.log_level: operations_pb.LogLevel.ValueType = operations_pb.LOG_LEVEL_INFO
        self.purges: list[cache_pb.PurgeCacheRequest] = []
        self.warmed: list[pb.GenerateReplyRequest] = []
        self.failures: dict[str, list[grpc.Status]] = {}
        self.failure: grpc.Status | None = None
        self.hangs = False
        self.floods = False
        self.cancelled = threading.Event()
        self.warming = threading.Event()
        self.health = health.HealthServicer()
        self.health.set("", health_pb2.HealthCheckResponse.SERVING)
        self.health.set(
            "lstmserve.v1.GenerationService", health_pb2.HealthCheckResponse.NOT_SERVING
        )

    def fail(self, code: grpc.StatusCode, message: str, *details: Message) -> None:
        """Let every call end with this status, streams after their events.

        As of a real server it has a reason.
        """
        self.failure = _to_status(code, message, *_with_reason(details))

    def lose(self, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        """Let every call end as gRPC ends it when the connection is lost: without a reason."""
        self.failure = _to_status(code, "Socket closed")

    def fail_to_warm(
        self, prompt: str, code: grpc.StatusCode, message: str, *details: Message, times: int = 1
    ) -> None:
        """Let so many calls for this prompt end with this status."""
        self.failures[prompt] = [_to_status(code, message, *_with_reason(details))] * times

    def Generate(  # noqa: N802 - named by the wire
        self, request: pb.GenerateRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.GenerateResponse]:
        self._record(request, context)
        context.add_callback(self.cancelled.set)
        for event in self.events:
            yield _as_asked(event, request)
        while self.floods and context.is_active():
            yield _as_asked(self.events[1], request)
        if self.hangs:
            self.cancelled.wait(WAIT_SECONDS)
        self._end(context)

    def GenerateReply(  # noqa: N802 - named by the wire
        self, request: pb.GenerateReplyRequest, context: grpc.ServicerContext
    ) -> pb.GenerateReplyResponse:
        self._record(request, context)
        context.add_callback(self.cancelled.set)
        if self.hangs:
            self.cancelled.wait(WAIT_SECONDS)
        self._end(context)
        return _as_asked(self.reply, request)

    def ListModels(  # noqa: N802 - named by the wire
        self,
        request: model_pb.ListModelsRequest,
        context: grpc.ServicerContext,
    ) -> model_pb.ListModelsResponse:
        self._end(context)
        return model_pb.ListModelsResponse(models=[self.model])

    def GetModel(  # noqa: N802 - named by the wire
        self, request: model_pb.GetModelRequest, context: grpc.ServicerContext
    ) -> model_pb.GetModelResponse:
        self._end(context)
        card = model_pb.Model()
        card.CopyFrom(self.model)
        card.version = request.version or card.version
        return model_pb.GetModelResponse(model=card)

    def LoadModel(  # noqa: N802 - named by the wire
        self, request: model_pb.LoadModelRequest, context: grpc.ServicerContext
    ) -> model_pb.LoadModelResponse:
        return model_pb.LoadModelResponse(model=self._change(request, context))

    def UnloadModel(  # noqa: N802 - named by the wire
        self, request: model_pb.UnloadModelRequest, context: grpc.ServicerContext
    ) -> model_pb.UnloadModelResponse:
        return model_pb.UnloadModelResponse(model=self._change(request, context))

    def VerifyModel(  # noqa: N802 - named by the wire
        self, request: model_pb.VerifyModelRequest, context: grpc.ServicerContext
    ) -> model_pb.VerifyModelResponse:
        return model_pb.VerifyModelResponse(model=self._change(request, context))

    def SetDefaultModel(  # noqa: N802 - named by the wire
        self, request: model_pb.SetDefaultModelRequest, context: grpc.ServicerContext
    ) -> model_pb.SetDefaultModelResponse:
        return model_pb.SetDefaultModelResponse(model=self._change(request, context))

    def SetTrafficSplit(  # noqa: N802 - named by the wire
        self, request: model_pb.SetTrafficSplitRequest, context: grpc.ServicerContext
    ) -> model_pb.SetTrafficSplitResponse:
        return model_pb.SetTrafficSplitResponse(models=[self._change(request, context)])

    def _change(self, request: ModelChange, context: grpc.ServicerContext) -> model_pb.Model:
        self.changes.append(request)
        self._end(context)
        return self.model

    def GetCacheStats(  # noqa: N802 - named by the wire
        self, request: cache_pb.GetCacheStatsRequest, context: grpc.ServicerContext
    ) -> cache_pb.GetCacheStatsResponse:
        self._end(context)
        return self.cache_stats

    def PurgeCache(  # noqa: N802 - named by the wire
        self, request: cache_pb.PurgeCacheRequest, context: grpc.ServicerContext
    ) -> cache_pb.PurgeCacheResponse:
        self.purges.append(request)
        self._end(context)
        return cache_pb.PurgeCacheResponse(memory_entries=1200, redis_entries=34)

    def WarmCache(  # noqa: N802 - named by the wire
        self, request: cache_pb.WarmCacheRequest, context: grpc.ServicerContext
    ) -> cache_pb.WarmCacheResponse:
        self.warmed.append(request.request)
        self._note_metadata(context)
        self.warming.set()
        context.add_callback(self.cancelled.set)
        if self.hangs:
            self.cancelled.wait(WAIT_SECONDS)
        self._end(context)
        if self.failures.get(request.request.prompt):
            context.abort_with_status(self.failures[request.request.prompt].pop())
        return cache_pb.WarmCacheResponse(generated=3, already_stored=5)

    def GetLogLevel(  # noqa: N802 - named by the wire
        self, request: operations_pb.GetLogLevelRequest, context: grpc.ServicerContext
    ) -> operations_pb.GetLogLevelResponse:
        self._end(context)
        return operations_pb.GetLogLevelResponse(level=self.log_level)

    def SetLogLevel(  # noqa: N802 - named by the wire
        self, request: operations_pb.SetLogLevelRequest, context: grpc.ServicerContext
    ) -> operations_pb.SetLogLevelResponse:
        self._end(context)
        previous, self.log_level = self.log_level, request.level
        return operations_pb.SetLogLevelResponse(previous_level=previous)

    def _record(
        self,
        request: pb.GenerateRequest | pb.GenerateReplyRequest,
        context: grpc.ServicerContext,
    ) -> None:
        self.requests.append(request)
        self._note_metadata(context)

    def _note_metadata(self, context: grpc.ServicerContext) -> None:
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata()})

    def _end(self, context: grpc.ServicerContext) -> None:
        if self.failure is not None:
            context.abort_with_status(self.failure)


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    servicer = FakeServer()
    with ThreadPoolExecutor(max_workers=4) as pool:
        server = grpc.server(pool)
        generation_service_pb2_grpc.add_GenerationServiceServicer_to_server(servicer, server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(servicer, server)
        cache_service_pb2_grpc.add_CacheServiceServicer_to_server(servicer, server)
        operations_service_pb2_grpc.add_OperationsServiceServicer_to_server(servicer, server)
        health_pb2_grpc.add_HealthServicer_to_server(servicer.health, server)
        servicer.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        yield servicer
        servicer.cancelled.set()
        server.stop(None).wait(WAIT_SECONDS)


@pytest.fixture
def dead_target() -> Iterator[str]:
    """A port that is taken and that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def _call_sync(target: str, method: str, *args: object, **options: object) -> Any:  # noqa: ANN401 - whatever the method gives
    with Client(target, retry=ONCE) as client:
        result = getattr(client, method)(*args, **options)
        return list(result) if method == "generate" else result


def _call_async(target: str, method: str, *args: object, **options: object) -> Any:  # noqa: ANN401 - whatever the method gives
    async def call() -> Any:  # noqa: ANN401 - whatever the method gives
        async with AsyncClient(target, retry=ONCE) as client:
            result = getattr(client, method)(*args, **options)
            if method == "generate":
                return [event async for event in result]
            return await result

    return asyncio.run(call())


@pytest.fixture(params=[_call_sync, _call_async], ids=["sync", "async"])
def call(request: pytest.FixtureRequest, fake: FakeServer) -> Callable[..., Any]:
    """Call a method by name on either client; a stream comes back as a list."""

    def run(method: str, *args: object, **options: object) -> Any:  # noqa: ANN401 - as above
        return request.param(fake.target, method, *args, **options)

    return run


@pytest.fixture
def lstmserve(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Lstmserve:
    """Run the command against the fake server, with a pipe for each standard stream."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)  # typer would color its errors there
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "160")

    def run(*args: str, stdin: str | bytes = "") -> Result:
        env = {"LSTMSERVE_TARGET": fake.target}
        return CliRunner().invoke(app, args, input=stdin, env=env)

    return run
