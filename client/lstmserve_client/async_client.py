"""The asynchronous client: a thin shell over the parts that both clients share."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, Unpack

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

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
from lstmserve_client import convert, convert_cache, convert_operations, status
from lstmserve_client.channel import CHANNEL_OPTIONS, DEFAULT_TARGET, DEFAULT_TIMEOUT_SECONDS
from lstmserve_client.errors import RequestCancelledError
from lstmserve_client.request import fill_request, purge_request, traffic_request
from lstmserve_client.stream import EventOrder, whole_reply
from lstmserve_client.types import (
    CachePurged,
    CacheStats,
    CacheWarmed,
    Event,
    LogLevel,
    Model,
    Prompt,
    Reply,
    RequestOptions,
    ServingStatus,
)


class AsyncClient:
    """A connection to one server, for one event loop: the methods of ``Client``, awaited.

        async with AsyncClient("127.0.0.1:50051") as client:
            async for event in client.generate("Where is my order?"):
                ...

    Every method raises a ``LstmserveError``. ``timeout_seconds`` covers the whole call, from
    connecting to the last event; ``None`` waits for as long as it takes.
    """

    def __init__(self, target: str = DEFAULT_TARGET) -> None:
        """Connect when first used. ``target`` is ``host:port`` or another gRPC target."""
        self._channel = grpc.aio.insecure_channel(
            target, options=CHANNEL_OPTIONS, compression=grpc.Compression.NoCompression
        )
        self._generation = generation_service_pb2_grpc.GenerationServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._cache = cache_service_pb2_grpc.CacheServiceStub(self._channel)
        self._operations = operations_service_pb2_grpc.OperationsServiceStub(self._channel)
        self._health: Any = health_pb2_grpc.HealthStub(self._channel)  # typed without methods

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection and cancel what still runs on it."""
        await self._channel.close()

    def generate(
        self,
        prompt: Prompt,
        *,
        timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS,
        **options: Unpack[RequestOptions],
    ) -> AsyncGenerator[Event, None]:
        """Stream the reply: one Started, any number of Chunks, one Completion.

        The call begins with the first event asked for, and is cancelled when the iterator is
        closed or dropped before its end; ``contextlib.aclosing`` does that at a known moment.
        """
        request = fill_request(pb.GenerateRequest(), prompt, **options)
        return self._events(request, timeout_seconds)

    async def reply(
        self,
        prompt: Prompt,
        *,
        timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS,
        **options: Unpack[RequestOptions],
    ) -> Reply:
        """Wait for the whole reply."""
        request = fill_request(pb.GenerateReplyRequest(), prompt, **options)
        with _raises_own_errors():
            return whole_reply(
                await self._generation.GenerateReply(request, timeout=timeout_seconds)
            )

    async def models(
        self, *, timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS
    ) -> list[Model]:
        """Every model version the server knows, by name, newest version first."""
        request = model_pb.ListModelsRequest()
        with _raises_own_errors():
            found = await self._models.ListModels(request, timeout=timeout_seconds)
        return [convert.model(each) for each in found.models]

    async def model(
        self,
        name: str = "",
        version: str = "",
        *,
        timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS,
    ) -> Model:
        """One model version; empty names stand for the server's defaults."""
        request = model_pb.GetModelRequest(name=name, version=version)
        with _raises_own_errors():
            found = await self._models.GetModel(request, timeout=timeout_seconds)
        return convert.model(found.model)

    async def load_model(
        self,
        name: str,
        version: str,
        *,
        timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS,
    ) -> Model:
        """Serve a version of the store to those who name it; waits until it is ready."""
        request = model_pb.LoadModelRequest(name=name, version=version)
        with _raises_own_errors():
            done = await self._models.LoadModel(request, timeout=timeout_seconds)
        return convert.model(done.model)

    async def unload_model(
        self,
        name: str,
        version: str,
        *,
        timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS,
    ) -> Model:
        """Serve a version no longer, once another can; what runs on it ends in its own time."""
        request = model_pb.UnloadModelRequest(name=name, version=version)
        with _raises_own_errors():
            done = await self._models.UnloadModel(request, timeout=timeout_seconds)
        return convert.model(done.model)

    async def verify_model(
        self,
        name: str,
        version: str,
        *,
        timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS,
    ) -> Model:
        """Have the server try a version of its store; raises what is wrong with it."""
        request = model_pb.VerifyModelRequest(name=name, version=version)
        with _raises_own_errors():
            done = await self._models.VerifyModel(request, timeout=timeout_seconds)
        return convert.model(done.model)

    async def set_default_model(
        self,
        name: str,
        version: str = "",
        *,
        timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS,
    ) -> Model:
        """Let this model answer requests naming none, and this version those without one.

        Without a version it is the newest that the server's policy serves, now and later.
        """
        request = model_pb.SetDefaultModelRequest(name=name, version=version)
        with _raises_own_errors():
            done = await self._models.SetDefaultModel(request, timeout=timeout_seconds)
        return convert.model(done.model)

    async def split_traffic(
        self,
        name: str,
        weights: Mapping[str, int],
        *,
        timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS,
    ) -> list[Model]:
        """Deal a model's requests without a version out by the weight of each version.

        Without weights the newest that the server's policy serves gets all.
        """
        request = traffic_request(name, weights)
        with _raises_own_errors():
            done = await self._models.SetTrafficSplit(request, timeout=timeout_seconds)
        return [convert.model(each) for each in done.models]

    async def health(
        self, service: str = "", *, timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS
    ) -> ServingStatus:
        """Whether the server, or one of its services, takes requests."""
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            with _raises_when_closed():
                answer = await self._health.Check(request, timeout=timeout_seconds)
        except grpc.RpcError as error:
            return status.health_of_error(error)
        return convert.serving_status(answer)

    async def cache_stats(
        self, *, timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS
    ) -> CacheStats:
        """What the cache of the server process that answers holds, and how well it does."""
        request = cache_pb.GetCacheStatsRequest()
        with _raises_own_errors():
            found = await self._cache.GetCacheStats(request, timeout=timeout_seconds)
        return convert_cache.cache_stats(found)

    async def purge_cache(
        self,
        model: str | None = None,
        model_version: str | None = None,
        caller: str | None = None,
        *,
        timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS,
    ) -> CachePurged:
        """Drop the replies and states that fit all that is given; everything if nothing is.

        An empty ``caller`` stands for those who give no name.
        """
        request = purge_request(model, model_version, caller)
        with _raises_own_errors():
            gone = await self._cache.PurgeCache(request, timeout=timeout_seconds)
        return convert_cache.cache_purged(gone)

    async def warm_cache(
        self,
        prompt: Prompt,
        *,
        timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS,
        **options: Unpack[RequestOptions],
    ) -> CacheWarmed:
        """Store every reply that this request may get, before anybody asks; waits until done.

        A sampled request without a seed has several. ``cache_mode`` means nothing here.
        """
        request = cache_pb.WarmCacheRequest()
        fill_request(request.request, prompt, **options)
        with _raises_own_errors():
            warmed = await self._cache.WarmCache(request, timeout=timeout_seconds)
        return convert_cache.cache_warmed(warmed)

    async def log_level(
        self, *, timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS
    ) -> LogLevel:
        """The log level of the server process that answers."""
        request = operations_pb.GetLogLevelRequest()
        with _raises_own_errors():
            found = await self._operations.GetLogLevel(request, timeout=timeout_seconds)
        return convert_operations.log_level(found.level)

    async def set_log_level(
        self, level: LogLevel, *, timeout_seconds: float | None = DEFAULT_TIMEOUT_SECONDS
    ) -> LogLevel:
        """Let the server write lines of this level and above, from now on; returns the level
        that was in force before.
        """
        request = convert_operations.set_log_level_request(level)
        with _raises_own_errors():
            answer = await self._operations.SetLogLevel(request, timeout=timeout_seconds)
        return convert_operations.log_level(answer.previous_level)

    async def _events(
        self, request: pb.GenerateRequest, timeout_seconds: float | None
    ) -> AsyncGenerator[Event, None]:
        order = EventOrder()
        call = self._generation.Generate(request, timeout=timeout_seconds)
        try:
            with _raises_when_closed(order):
                async for message in call:
                    if (event := order.accept(message)) is not None:
                        yield event
            order.end()
        except grpc.RpcError as error:
            raise status.error_from_rpc(error, request_id=order.request_id) from error
        finally:
            call.cancel()  # does nothing once the call has ended


@contextmanager
def _raises_own_errors() -> Iterator[None]:
    with status.raises_own_errors(), _raises_when_closed():
        yield


@contextmanager
def _raises_when_closed(order: EventOrder | None = None) -> Iterator[None]:
    """A call that ends because its client was closed is an error, as in the other client.

    grpc.aio raises CancelledError for it, which would pass for a cancellation of the task.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        request_id = order.request_id if order else None
        raise RequestCancelledError("the client was closed", request_id=request_id) from error
