"""A small server on a free port whose answers each test writes down.

It runs on an event loop in a thread of its own: however many calls hang, none waits for a thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import grpc
from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.message import Message
from google.rpc import status_pb2
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from benchmarks.testbed.loop_thread import LoopThread
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
from support import fake_answers

Answer = TypeVar("Answer", pb.GenerateResponse, pb.GenerateReplyResponse)
Context = grpc.aio.ServicerContext[Any, Any]
Health = health_pb2.HealthCheckResponse

ModelChange = (
    model_pb.LoadModelRequest
    | model_pb.UnloadModelRequest
    | model_pb.VerifyModelRequest
    | model_pb.SetDefaultModelRequest
    | model_pb.SetTrafficSplitRequest
)


class FakeHealth(health_pb2_grpc.HealthServicer):
    """Tells what ``statuses`` say. The stock servicer gives a thread to each who watches, and
    sends under a lock that the end of the server waits for.
    """

    def __init__(self) -> None:
        self.statuses = {
            "": Health.SERVING,
            "lstmserve.v1.GenerationService": Health.NOT_SERVING,
        }

    async def Check(  # noqa: N802 - named by the wire
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> Health:
        if request.service not in self.statuses:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return Health(status=self.statuses[request.service])

    async def Watch(  # noqa: N802 - named by the wire
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncIterator[Health]:
        yield Health(status=self.statuses.get(request.service, Health.SERVICE_UNKNOWN))
        await asyncio.Event().wait()  # until the caller leaves


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
        self.classified: list[pb.ClassifyRequest] = []
        self.metadata: list[dict[str, str]] = []  # of these requests, and of prompts warmed
        self.model = fake_answers.model()
        self.events = fake_answers.events()
        self.reply = fake_answers.reply()
        self.cache_stats = fake_answers.cache_stats()
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
        self.health = FakeHealth()

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

    async def Generate(  # noqa: N802 - named by the wire
        self, request: pb.GenerateRequest, context: Context
    ) -> AsyncIterator[pb.GenerateResponse]:
        self.requests.append(request)
        self._begin(context)
        for event in self.events:
            yield _as_asked(event, request)
        while self.floods:  # until the caller leaves
            yield _as_asked(self.events[1], request)
        await self._end(context)

    async def GenerateReply(  # noqa: N802 - named by the wire
        self, request: pb.GenerateReplyRequest, context: Context
    ) -> pb.GenerateReplyResponse:
        self.requests.append(request)
        self._begin(context)
        await self._end(context)
        return _as_asked(self.reply, request)

    async def Classify(  # noqa: N802 - named by the wire
        self, request: pb.ClassifyRequest, context: Context
    ) -> pb.ClassifyResponse:
        """A classification for each text, and an error for each empty one."""
        self.classified.append(request)
        await self._fail(context)
        response = pb.ClassifyResponse()
        for number, item in enumerate(request.inputs):
            if item.prompt.strip() or item.HasField("conversation"):
                response.results.add(classification=fake_answers.classification())
            else:
                error = pb.InputError(field=f"inputs[{number}].prompt", description="is empty")
                response.results.add(error=error)
        return response

    async def ListModels(  # noqa: N802 - named by the wire
        self, request: model_pb.ListModelsRequest, context: Context
    ) -> model_pb.ListModelsResponse:
        await self._fail(context)
        return model_pb.ListModelsResponse(models=[self.model])

    async def GetModel(  # noqa: N802 - named by the wire
        self, request: model_pb.GetModelRequest, context: Context
    ) -> model_pb.GetModelResponse:
        await self._fail(context)
        card = model_pb.Model()
        card.CopyFrom(self.model)
        card.version = request.version or card.version
        return model_pb.GetModelResponse(model=card)

    async def LoadModel(  # noqa: N802 - named by the wire
        self, request: model_pb.LoadModelRequest, context: Context
    ) -> model_pb.LoadModelResponse:
        return model_pb.LoadModelResponse(model=await self._change(request, context))

    async def UnloadModel(  # noqa: N802 - named by the wire
        self, request: model_pb.UnloadModelRequest, context: Context
    ) -> model_pb.UnloadModelResponse:
        return model_pb.UnloadModelResponse(model=await self._change(request, context))

    async def VerifyModel(  # noqa: N802 - named by the wire
        self, request: model_pb.VerifyModelRequest, context: Context
    ) -> model_pb.VerifyModelResponse:
        return model_pb.VerifyModelResponse(model=await self._change(request, context))

    async def SetDefaultModel(  # noqa: N802 - named by the wire
        self, request: model_pb.SetDefaultModelRequest, context: Context
    ) -> model_pb.SetDefaultModelResponse:
        return model_pb.SetDefaultModelResponse(model=await self._change(request, context))

    async def SetTrafficSplit(  # noqa: N802 - named by the wire
        self, request: model_pb.SetTrafficSplitRequest, context: Context
    ) -> model_pb.SetTrafficSplitResponse:
        return model_pb.SetTrafficSplitResponse(models=[await self._change(request, context)])

    async def GetCacheStats(  # noqa: N802 - named by the wire
        self, request: cache_pb.GetCacheStatsRequest, context: Context
    ) -> cache_pb.GetCacheStatsResponse:
        await self._fail(context)
        return self.cache_stats

    async def PurgeCache(  # noqa: N802 - named by the wire
        self, request: cache_pb.PurgeCacheRequest, context: Context
    ) -> cache_pb.PurgeCacheResponse:
        self.purges.append(request)
        await self._fail(context)
        return cache_pb.PurgeCacheResponse(memory_entries=1200, redis_entries=34)

    async def WarmCache(  # noqa: N802 - named by the wire
        self, request: cache_pb.WarmCacheRequest, context: Context
    ) -> cache_pb.WarmCacheResponse:
        self.warmed.append(request.request)
        self._begin(context)
        self.warming.set()
        await self._end(context)
        if self.failures.get(request.request.prompt):
            await context.abort_with_status(self.failures[request.request.prompt].pop())
        return cache_pb.WarmCacheResponse(generated=3, already_stored=5)

    async def GetLogLevel(  # noqa: N802 - named by the wire
        self, request: operations_pb.GetLogLevelRequest, context: Context
    ) -> operations_pb.GetLogLevelResponse:
        await self._fail(context)
        return operations_pb.GetLogLevelResponse(level=self.log_level)

    async def SetLogLevel(  # noqa: N802 - named by the wire
        self, request: operations_pb.SetLogLevelRequest, context: Context
    ) -> operations_pb.SetLogLevelResponse:
        await self._fail(context)
        previous, self.log_level = self.log_level, request.level
        return operations_pb.SetLogLevelResponse(previous_level=previous)

    async def _change(self, request: ModelChange, context: Context) -> model_pb.Model:
        self.changes.append(request)
        await self._fail(context)
        return self.model

    def _begin(self, context: Context) -> None:
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata()})
        context.add_done_callback(lambda _: self.cancelled.set())

    async def _end(self, context: Context) -> None:
        if self.hangs:
            with suppress(grpc.aio.UsageError):  # it went with the first event
                await context.send_initial_metadata((("x-request-id", "taken"),))
            await asyncio.Event().wait()  # until the caller leaves
        await self._fail(context)

    async def _fail(self, context: Context) -> None:
        if self.failure is not None:
            await context.abort_with_status(self.failure)


@contextmanager
def serve_fake() -> Iterator[FakeServer]:
    """Serve for as long as the block takes; what runs then is cancelled."""
    fake = FakeServer()
    with LoopThread("the fake server") as loop:
        server = loop.run(_start(fake))
        try:
            yield fake
        finally:
            loop.run(server.stop(None))


async def _start(fake: FakeServer) -> grpc.aio.Server:
    server = grpc.aio.server()
    generation_service_pb2_grpc.add_GenerationServiceServicer_to_server(fake, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(fake, server)
    cache_service_pb2_grpc.add_CacheServiceServicer_to_server(fake, server)
    operations_service_pb2_grpc.add_OperationsServiceServicer_to_server(fake, server)
    health_pb2_grpc.add_HealthServicer_to_server(fake.health, server)
    fake.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    return server


def _as_asked(answer: Answer, request: pb.GenerateRequest | pb.GenerateReplyRequest) -> Answer:
    """Return the answer, without log-probabilities if the request wants none."""
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
