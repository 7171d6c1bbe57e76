"""Guards what is not this service's own: health, reflection, and whatever else is served.

By default grpc answers bytes that it cannot parse with UNKNOWN and the text of an exception.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, aclosing, nullcontext
from functools import partial
from typing import Any, TypeAlias

import grpc
import structlog
from google.protobuf.message import Message

from lstmserve_server.errors import NotServedError
from lstmserve_server.rpc.arrival import UnadmittedCalls, read_each, read_one
from lstmserve_server.rpc.call import Call
from lstmserve_server.rpc.door import Door
from lstmserve_server.rpc.metadata import choose_request_id
from lstmserve_server.rpc.permissions import is_open
from lstmserve_server.rpc.status import BUG, classify, to_status, to_trailers
from lstmserve_server.rpc.wire import Read, reader_of

log = structlog.get_logger()
Context = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Serve = Callable[..., Any]
Admit = Callable[[Context], AbstractContextManager[object]]
Take = Callable[[AsyncIterator[bytes]], Any]  # makes what a servicer is given

# of methods with one response, and with many; to grpc requests are always many (arrival)
MAKERS: dict[bool, Callable[..., Handler]] = {
    False: grpc.stream_unary_rpc_method_handler,
    True: grpc.stream_stream_rpc_method_handler,
}


class ForeignInterceptor(grpc.aio.ServerInterceptor):
    """Lets calls through the door; they are neither logged nor counted as calls of ours."""

    def __init__(
        self,
        door: Door,
        is_own: Callable[[str], bool],
        reader_of: Callable[[str], Read] = reader_of,
    ) -> None:
        """Pass the methods that ``is_own`` tells: they have an interceptor of their own."""
        self._door = door
        self._is_own = is_own
        self._reader_of = reader_of
        self._unadmitted = UnadmittedCalls()

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
        guard = _stream if handler.response_streaming else _await
        served = guard(
            call, _serve_of(handler), self._taking(handler, method), self._admission(call, method)
        )
        make = MAKERS[bool(handler.response_streaming)]
        return make(served, None, handler.response_serializer)

    def _taking(self, handler: Handler, method: str) -> Take:
        read = self._reader_of(method)
        if handler.request_streaming:
            return partial(_read_each, read)
        return partial(self._unadmitted.read_one if is_open(method) else read_one, read)

    def _admission(self, call: Call, method: str) -> Admit:
        if is_open(method):
            return lambda _context: nullcontext()
        return lambda context: self._door.admit(self._door.identify(call, context), context)


def _serve_of(handler: Handler) -> Any:  # noqa: ANN401 - a servicer's method
    return (
        handler.stream_stream or handler.unary_stream or handler.stream_unary or handler.unary_unary
    )


def _stream(call: Call, serve: Serve, take: Take, admit: Admit) -> Serve:
    async def stream(coming: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
        try:
            with admit(context):
                async with aclosing(serve(await take(coming), context)) as messages:
                    async for message in messages:
                        yield message
        except grpc.aio.AbortError:  # a status that was meant
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it gets a status
            await _abort(error, call, context)

    return stream


def _await(call: Call, serve: Serve, take: Take, admit: Admit) -> Serve:
    async def run(coming: AsyncIterator[bytes], context: Context) -> Any:  # noqa: ANN401 - a response
        try:
            with admit(context):
                return await serve(await take(coming), context)
        except grpc.aio.AbortError:  # a status that was meant
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it gets a status
            return await _abort(error, call, context)

    return run


async def _read_each(read: Read, coming: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    """Return them at once: a servicer waits for them itself."""
    return read_each(read, coming)


async def _abort(error: Exception, call: Call, context: Context) -> None:
    if isinstance(error, NotImplementedError):  # what a service's base class raises
        error = NotServedError(f"{call.method} is not served")
    code, status = to_status(error, call.request_id)
    if classify(error) == BUG:
        log.error("a bug", rpc=call.rpc, request_id=call.request_id, exc_info=error)
    await context.abort(code, status.message, to_trailers(status, call.request_id))
