"""Guards what is not this service's own: health, reflection, and whatever else is served.

By default grpc answers bytes that it cannot parse with UNKNOWN and the text of an exception.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, aclosing, nullcontext
from functools import partial
from inspect import isasyncgenfunction
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import Message

from lstmserve_server.errors import LstmserveError
from lstmserve_server.rpc.call import Call, choose_request_id
from lstmserve_server.rpc.door import Door
from lstmserve_server.rpc.permissions import is_open
from lstmserve_server.rpc.status import to_status, to_trailers
from lstmserve_server.rpc.wire import Read, checked, reader_of

Context = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Serve = Callable[..., Any]
Admit = Callable[[Context], AbstractContextManager[None]]
MAKERS: dict[tuple[bool, bool], Callable[..., Handler]] = {
    (True, True): grpc.stream_stream_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (False, False): grpc.unary_unary_rpc_method_handler,
}


class ForeignInterceptor(grpc.aio.ServerInterceptor):
    """Lets calls through the door; they are neither logged nor counted as calls of ours."""

    def __init__(
        self,
        door: Door,
        is_own: Callable[[str], bool],
        reader_of: Callable[[str], Read] = reader_of,
    ) -> None:
        """Methods that ``is_own`` tells pass: they have an interceptor of their own."""
        self._door = door
        self._is_own = is_own
        self._reader_of = reader_of

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or self._is_own(method):
            return handler
        _, service, rpc = method.split("/")
        request_id = choose_request_id(tuple(handler_call_details.invocation_metadata))
        call = Call(rpc, request_id, service)
        return _guard(call, handler, self._reader_of(method), self._admission(call, method))

    def _admission(self, call: Call, method: str) -> Admit:
        if is_open(method):
            return lambda _context: nullcontext()
        return lambda context: self._door.admit(call, context)


def _guard(call: Call, handler: Handler, read: Read, admit: Admit) -> Handler:
    serve: Any = (
        handler.stream_stream or handler.unary_stream or handler.stream_unary or handler.unary_unary
    )
    take = partial(_read_each if handler.request_streaming else _read_one, read)
    make = MAKERS[bool(handler.request_streaming), bool(handler.response_streaming)]
    # the standard health service writes the events of its stream itself, and gives none
    guarded = _stream if isasyncgenfunction(serve) else _await
    return make(guarded(call, serve, take, admit), None, handler.response_serializer)


def _stream(call: Call, serve: Serve, take: Callable[..., Any], admit: Admit) -> Serve:
    async def stream(data: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401 - one request, or many
        try:
            with admit(context):
                async with aclosing(serve(take(data), context)) as messages:
                    async for message in messages:
                        yield message
        except LstmserveError as error:
            await _abort(error, call, context)

    return stream


def _await(call: Call, serve: Serve, take: Callable[..., Any], admit: Admit) -> Serve:
    async def run(data: Any, context: Context) -> Any:  # noqa: ANN401 - one request, or many
        try:
            with admit(context):
                return await serve(take(data), context)
        except LstmserveError as error:
            return await _abort(error, call, context)

    return run


def _read_one(read: Read, data: bytes) -> Message:
    return checked(read(data))


async def _read_each(read: Read, coming: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    async for data in coming:
        yield checked(read(data))


async def _abort(error: LstmserveError, call: Call, context: Context) -> None:
    code, status = to_status(error, call.request_id)
    await context.abort(code, status.message, to_trailers(status, call.request_id))
