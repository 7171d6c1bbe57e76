"""Around every RPC of this service: the gate, the clock, the log, and all errors.

Only this interceptor aborts. An exception that reached grpc would send its text to the
client, so nothing gets past it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

import grpc
import structlog
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from lstmserve_server.gate import Gate
from lstmserve_server.rpc.arrival import read_bytes, read_one
from lstmserve_server.rpc.call import (
    Call,
    CallEndObserver,
    CallOutcome,
    RunningCall,
    current_call,
)
from lstmserve_server.rpc.door import Door
from lstmserve_server.rpc.metadata import (
    REQUEST_ID_KEY,
    Metadata,
    choose_request_id,
    find_trace_id,
    read_trace,
)
from lstmserve_server.rpc.open_inference.reply import AS_STATUS_KEY, to_failure
from lstmserve_server.rpc.request_stream import Fail, Failure, RequestStream
from lstmserve_server.rpc.status import BUG, classify, reason_of, to_status, to_trailers
from lstmserve_server.rpc.wire import Read, checked, reader_of

OWN_PACKAGES = ("/lstmserve.v1.", "/inference.")
# as the standard health service, these answer to the end
PROBES = frozenset(
    f"/inference.GRPCInferenceService/{rpc}" for rpc in ("ServerLive", "ServerReady", "ModelReady")
)

TIMEOUT_ROUNDING = 0.01  # src/core/lib/transport/timeout_encoding.cc of gRPC
TRANSIT_SECONDS = 0.005  # a request may take so much longer to arrive than its cancellation

Context = grpc.aio.ServicerContext[Any, Any]
Serve = Callable[..., Any]  # a servicer's method, streaming or not
# a response to a request's bytes, both as on the wire; None: it has to be served
Shortcut = Callable[[bytes], bytes | None]
log = structlog.get_logger()


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps this service's methods; all else is for ``foreign``."""

    def __init__(
        self,
        gate: Gate,
        door: Door,
        observers: Sequence[CallEndObserver],
        shortcuts: Mapping[str, Shortcut] = MappingProxyType({}),
    ) -> None:
        """Tell ``observers`` of every RPC's end, in this order.

        ``shortcuts`` are by method, of those with one request and one response.
        """
        self._shortcuts = shortcuts
        self._gate = gate
        self._door = door
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
        if handler is None or not is_own(method):
            return handler
        call = _make_call(method, tuple(handler_call_details.invocation_metadata))
        read = reader_of(method)
        if handler.unary_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                self._stream(call, handler.unary_stream, read)
            )
        if handler.unary_unary is not None:
            return grpc.stream_unary_rpc_method_handler(
                self._unary(call, handler.unary_unary, read)
            )
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                self._requests(call, handler.stream_stream, read)
            )
        raise TypeError(f"{method}: requests that come in pieces are not served")

    # messages are written here: one that cannot be is an error of its call, as any other

    def _stream(self, call: Call, serve: Serve, read: Read) -> Serve:
        async def stream(coming: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            # closed with the call, not when it is collected: what it runs ends with it
            async with (
                self._around(call, partial(_abort, call, context), context),
                aclosing(serve(await read_one(read, coming), context)) as events,
            ):
                async for event in events:
                    yield event.SerializeToString()

        return stream

    def _unary(self, call: Call, serve: Serve, read: Read) -> Serve:
        shortcut = self._shortcuts.get(f"/{call.method}")

        async def unary(coming: AsyncIterator[bytes], context: Context) -> bytes:
            async with self._around(call, partial(_abort, call, context), context):
                message = await read_bytes(coming)
                known = None if shortcut is None else shortcut(message)
                if known is not None:
                    return known
                reply: Message = await serve(checked(read(message)), context)
                return reply.SerializeToString()

        return unary

    def _requests(self, opening: Call, serve: Serve, read: Read) -> Serve:
        async def requests(coming: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            await _tell_request_id(opening, context)
            if not self._door.is_open_to(opening, context):
                fail = partial(_abort, opening, context)
                async with self._around(opening, fail, context, is_told=True):
                    pass  # refused
            around = partial(self._around, context=context, is_told=True)
            stream = RequestStream(opening, serve, read, around, context)
            async with aclosing(stream.answer(coming)) as responses:
                async for response in responses:
                    if not isinstance(response, Failure):
                        yield response
                    elif response.ends_stream or _wants_statuses(context):
                        await _abort(response.call, context, response.code, response.status)
                    else:
                        yield to_failure(response).SerializeToString()

        return requests

    @asynccontextmanager
    async def _around(
        self, call: Call, fail: Fail, context: Context, *, is_told: bool = False
    ) -> AsyncIterator[None]:
        """Serve a call within the block; ``is_told`` if its caller knows its id already."""
        running = RunningCall(call)
        started_at, timeout = time.monotonic(), context.time_remaining()
        code, reason = grpc.StatusCode.OK, ""
        try:
            with self._gate.enter():
                if not is_told:
                    await _tell_request_id(call, context)
                running.call = self._door.identify(call, context)
                with self._door.admit(running.call, context) as admitted:
                    running.call = admitted
                    current_call.set(running)
                    yield
        except (asyncio.CancelledError, GeneratorExit):
            # the latter when the call ends while grpc is writing an event, not while it waits
            code = cancellation_code(timeout, context.time_remaining())
            raise
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # whatever it is, it gets a status; Rust's panics, too
            code, status = to_status(error, call.request_id)
            reason = reason_of(status)
            if classify(error) == BUG:
                log.exception("a bug", rpc=call.rpc, request_id=call.request_id)
            await fail(code, status)
        finally:
            seconds = time.monotonic() - started_at
            self._tell(running.call, CallOutcome(code.name, seconds, reason, running.served))

    def _tell(self, call: Call, outcome: CallOutcome) -> None:
        for observer in self._observers:
            trace_id = observer.on_call_end(call, outcome)
            if trace_id:
                call = replace(call, trace_id=trace_id)


def is_own(method: str) -> bool:
    """Return whether this interceptor wraps ``/service/method``."""
    return method.startswith(OWN_PACKAGES) and method not in PROBES


def _make_call(method: str, metadata: Metadata) -> Call:
    _, service, rpc = method.split("/")
    trace = read_trace(metadata)
    return Call(rpc, choose_request_id(metadata), service, trace, find_trace_id(trace))


async def _tell_request_id(call: Call, context: Context) -> None:
    """Tell it at once: a caller who gets nothing more can still name the request."""
    try:
        await context.send_initial_metadata(((REQUEST_ID_KEY, call.request_id),))
    except grpc.aio.BaseError:  # the caller has left, and grpc is about to say so
        raise asyncio.CancelledError from None


async def _abort(call: Call, context: Context, code: grpc.StatusCode, status: Status) -> None:
    await context.abort(code, status.message, to_trailers(status, call.request_id))


def _wants_statuses(context: Context) -> bool:
    return (AS_STATUS_KEY, "true") in (context.invocation_metadata() or ())


def cancellation_code(timeout: float | None, remaining: float | None) -> grpc.StatusCode:
    """Return why a call was cancelled, whose caller allowed it so many seconds; None: no limit.

    A client gives up at its deadline, which is a little before the server's: gRPC tells a timeout
    in three digits, rounded up, and so by one part in a hundred at most.
    """
    if timeout is None or remaining is None:
        return grpc.StatusCode.CANCELLED
    is_up = remaining <= timeout * TIMEOUT_ROUNDING + TRANSIT_SECONDS
    return grpc.StatusCode.DEADLINE_EXCEEDED if is_up else grpc.StatusCode.CANCELLED
