"""The id by which a request is found in the log, as a client sees it that knows nothing of us."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from lstmserve.v1 import cache_service_pb2 as cache_pb
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2 as model_pb
from lstmserve.v1 import operations_service_pb2 as operations_pb
from lstmserve_server.errors import DrainingError
from lstmserve_server.gate import Gate
from lstmserve_server.rpc.call import Call, CallOutcome
from lstmserve_server.rpc.door import OpenDoor
from lstmserve_server.rpc.interceptor import CallInterceptor

ID = "req-1.of_mine"
METHODS = {
    "GenerationService/GenerateReply": pb.GenerateReplyRequest(prompt="hello"),
    "ModelService/ListModels": model_pb.ListModelsRequest(),
    "CacheService/GetCacheStats": cache_pb.GetCacheStatsRequest(),
    "OperationsService/GetLogLevel": operations_pb.GetLogLevelRequest(),
}
REFUSED = {
    "GenerationService/GenerateReply": pb.GenerateReplyRequest(),
    "ModelService/GetModel": model_pb.GetModelRequest(name="who"),
    "ModelService/LoadModel": model_pb.LoadModelRequest(name="tiny"),
}


def call_unary(channel: grpc.Channel, method: str, request: bytes) -> grpc.Call:
    """Bytes go out and come back, as with a client that has no stubs."""
    return channel.unary_unary(f"/lstmserve.v1.{method}").with_call(
        request, metadata=(("x-request-id", ID),)
    )[1]


def call_stream(channel: grpc.Channel, request: bytes, *metadata: tuple[str, str]) -> grpc.Call:
    return channel.unary_stream("/lstmserve.v1.GenerationService/Generate")(
        request, metadata=metadata
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_reply_comes_with_its_id(channel: grpc.Channel, method: str) -> None:
    call = call_unary(channel, method, METHODS[method].SerializeToString())
    assert dict(call.initial_metadata())["x-request-id"] == ID


@pytest.mark.parametrize("method", REFUSED)
def test_a_refusal_comes_with_its_id_at_both_ends(channel: grpc.Channel, method: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call_unary(channel, method, REFUSED[method].SerializeToString())
    assert dict(caught.value.initial_metadata())["x-request-id"] == ID
    assert dict(caught.value.trailing_metadata())["x-request-id"] == ID


def test_a_stream_tells_its_id_before_its_first_event(channel: grpc.Channel) -> None:
    stream = call_stream(
        channel, pb.GenerateRequest(prompt="hello").SerializeToString(), ("x-request-id", ID)
    )
    assert dict(stream.initial_metadata())["x-request-id"] == ID
    first = pb.GenerateResponse.FromString(next(stream))
    assert first.started.request_id == ID
    stream.cancel()


def test_a_refused_stream_tells_its_id(channel: grpc.Channel) -> None:
    stream = call_stream(channel, b"", ("x-request-id", ID))
    assert stream.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert dict(stream.initial_metadata())["x-request-id"] == ID
    assert dict(stream.trailing_metadata())["x-request-id"] == ID


@pytest.mark.parametrize("sent", [(), (("x-request-id", "no id at all"),)])
def test_without_an_acceptable_id_the_server_s_own_is_told(
    channel: grpc.Channel, sent: tuple[tuple[str, str], ...]
) -> None:
    ids = set()
    for _ in range(2):
        stream = call_stream(channel, pb.GenerateRequest(prompt="hi").SerializeToString(), *sent)
        found = dict(stream.initial_metadata())["x-request-id"]
        assert pb.GenerateResponse.FromString(next(stream)).started.request_id == found
        stream.cancel()
        ids.add(found)
    assert len(ids) == 2


class Gone:
    """The context of a call whose caller left before anything could be sent."""

    async def send_initial_metadata(self, metadata: object) -> None:
        raise grpc.aio.InternalError

    def invocation_metadata(self) -> tuple[()]:
        return ()

    def time_remaining(self) -> None:
        return None


class Ends:
    """Keeps the codes that calls ended with."""

    def __init__(self) -> None:
        self.codes: list[str] = []

    def on_call_end(self, call: Call, outcome: CallOutcome) -> None:
        self.codes.append(outcome.code)


async def test_a_caller_who_is_gone_by_then_has_cancelled() -> None:
    ends, method = Ends(), "/lstmserve.v1.ModelService/ListModels"
    details = SimpleNamespace(method=method, invocation_metadata=())
    served: list[object] = []

    async def find(_: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        async def serve(request: object, context: object) -> None:
            served.append(request)

        return grpc.unary_unary_rpc_method_handler(serve)

    interceptor = CallInterceptor(Gate(lambda: DrainingError("closed")), OpenDoor(), (ends,))
    handler = await interceptor.intercept_service(find, details)
    assert handler is not None
    unary: Callable[..., Any] = handler.stream_unary
    with pytest.raises(asyncio.CancelledError):
        await unary(model_pb.ListModelsRequest(), Gone())
    assert (ends.codes, served) == (["CANCELLED"], [])
