"""Guards the methods that are not this service's own: reflection, and whatever else is served."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc

from lstmserve_server.errors import LstmserveError
from lstmserve_server.rpc.call import Call, choose_request_id
from lstmserve_server.rpc.door import Door
from lstmserve_server.rpc.permissions import is_open
from lstmserve_server.rpc.status import to_status, to_trailers

Context = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
MAKERS: dict[tuple[bool, bool], Callable[..., Handler]] = {
    (True, True): grpc.stream_stream_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (False, False): grpc.unary_unary_rpc_method_handler,
}


class ForeignInterceptor(grpc.aio.ServerInterceptor):
    """Lets calls through the door; they are neither logged nor counted as calls of ours."""

    def __init__(self, door: Door, own_packages: tuple[str, ...]) -> None:
        """Methods of ``own_packages`` pass: they have an interceptor of their own."""
        self._door = door
        self._own_packages = own_packages

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(self._own_packages) or is_open(method):
            return handler
        _, service, rpc = method.split("/")
        request_id = choose_request_id(tuple(handler_call_details.invocation_metadata))
        return self._guard(Call(rpc, request_id, service), handler)

    def _guard(self, call: Call, handler: Handler) -> Handler:
        serve: Any = (
            handler.stream_stream
            or handler.unary_stream
            or handler.stream_unary
            or handler.unary_unary
        )
        make = MAKERS[bool(handler.request_streaming), bool(handler.response_streaming)]
        guarded = self._stream if handler.response_streaming else self._unary
        return make(guarded(call, serve), handler.request_deserializer, handler.response_serializer)

    def _stream(self, call: Call, serve: Callable[..., Any]) -> Callable[..., Any]:
        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401 - whatever it takes
            try:
                with self._door.admit(call, context):
                    async with aclosing(serve(request, context)) as messages:
                        async for message in messages:
                            yield message
            except LstmserveError as error:
                await _abort(error, call, context)

        return stream

    def _unary(self, call: Call, serve: Callable[..., Any]) -> Callable[..., Any]:
        async def unary(request: Any, context: Context) -> Any:  # noqa: ANN401 - whatever it takes
            try:
                with self._door.admit(call, context):
                    return await serve(request, context)
            except LstmserveError as error:
                return await _abort(error, call, context)

        return unary


async def _abort(error: LstmserveError, call: Call, context: Context) -> None:
    code, status = to_status(error, call.request_id)
    await context.abort(code, status.message, to_trailers(status, call.request_id))
