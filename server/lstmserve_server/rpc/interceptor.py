"""Around every RPC of this service: the gate, the clock, the log, and all errors.

Only this interceptor aborts. An exception that reached grpc would send its text to the
client, so nothing gets past it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import cache
from typing import Any

import grpc
import structlog
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from lstmserve_server.errors import InvalidRequestError
from lstmserve_server.gate import Gate
from lstmserve_server.rpc.call import (
    REQUEST_ID_KEY,
    Call,
    Metadata,
    choose_request_id,
    current_call,
    find_trace_id,
    read_caller,
    read_trace,
)
from lstmserve_server.rpc.foreign import refuse_malformed
from lstmserve_server.rpc.observer import CallEndObserver
from lstmserve_server.rpc.status import classify, to_status
from lstmserve_server.rpc.wire import Malformed, make_reader

OWN_PACKAGE = "/lstmserve.v1."
STATUS_DETAILS_KEY = "grpc-status-details-bin"

Context = grpc.aio.ServicerContext[Any, Any]
Serve = Callable[..., Any]  # a servicer's method, streaming or not
log = structlog.get_logger()


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps this service's methods; of health and reflection only what cannot be read."""

    def __init__(self, gate: Gate, observers: Sequence[CallEndObserver]) -> None:
        """``observers`` are told of every RPC's end, in this order."""
        self._gate = gate
        self._observers = observers

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return None
        if not method.startswith(OWN_PACKAGE):
            return refuse_malformed(handler, _reader_of(method))
        call = _make_call(method, tuple(handler_call_details.invocation_metadata))
        reader = _reader_of(method)
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(call, handler.unary_stream), reader, handler.response_serializer
            )
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                self._unary(call, handler.unary_unary), reader, handler.response_serializer
            )
        raise TypeError(f"{method}: only methods of one request are served")

    def _stream(self, call: Call, serve: Serve) -> Serve:
        async def stream(request: Message | Malformed, context: Context) -> AsyncIterator[Message]:
            # closed with the call, not when it is collected: what it runs ends with it
            async with (
                self._around(call, context),
                aclosing(serve(_checked(request), context)) as events,
            ):
                async for event in events:
                    yield event

        return stream

    def _unary(self, call: Call, serve: Serve) -> Serve:
        async def unary(request: Message | Malformed, context: Context) -> Message:
            async with self._around(call, context):
                reply: Message = await serve(_checked(request), context)
                return reply

        return unary

    @asynccontextmanager
    async def _around(self, call: Call, context: Context) -> AsyncIterator[None]:
        current_call.set(call)
        started_at = time.monotonic()
        code = grpc.StatusCode.OK
        try:
            with self._gate.enter():
                await _tell_request_id(call, context)
                call.caller = read_caller(context.invocation_metadata() or ())
                yield
        except (asyncio.CancelledError, GeneratorExit):
            # the latter when the call ends while grpc is writing an event, not while it waits
            code = _cancellation_code(context)
            raise
        except Exception as error:  # whatever it is, it gets a status
            code, status = to_status(error, call.request_id)
            _, call.error = classify(error)
            if code is grpc.StatusCode.INTERNAL:
                log.exception("a bug", rpc=call.rpc, request_id=call.request_id)
            details = (
                (STATUS_DETAILS_KEY, status.SerializeToString()),
                (REQUEST_ID_KEY, call.request_id),
            )
            await context.abort(code, status.message, details)
        finally:
            seconds = time.monotonic() - started_at
            for observer in self._observers:
                observer.on_call_end(call, code.name, seconds)


def _make_call(method: str, metadata: Metadata) -> Call:
    _, service, rpc = method.split("/")
    trace = read_trace(metadata)
    return Call(rpc, choose_request_id(metadata), service, trace, find_trace_id(trace))


async def _tell_request_id(call: Call, context: Context) -> None:
    """At once: a caller who gets nothing more can still name the request."""
    try:
        await context.send_initial_metadata(((REQUEST_ID_KEY, call.request_id),))
    except grpc.aio.BaseError:  # the caller has left, and grpc is about to say so
        raise asyncio.CancelledError from None


def _checked(request: Message | Malformed) -> Message:
    if isinstance(request, Malformed):
        raise InvalidRequestError([request.violation])
    return request


def _cancellation_code(context: Context) -> grpc.StatusCode:
    remaining: float | None = context.time_remaining()  # None without a deadline
    if remaining is not None and remaining <= 0:
        return grpc.StatusCode.DEADLINE_EXCEEDED
    return grpc.StatusCode.CANCELLED


@cache
def _reader_of(method: str) -> Callable[[bytes], Message | Malformed]:
    name = method.removeprefix("/").replace("/", ".")
    found = descriptor_pool.Default().FindMethodByName(name)
    return make_reader(message_factory.GetMessageClass(found.input_type))
