"""Methods of other packages, health and reflection, which read no broken bytes either.

By default grpc answers bytes that it cannot parse with UNKNOWN and the text of an exception.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf.message import Message

from lstmserve_server.rpc.wire import Malformed

Context = grpc.aio.ServicerContext[Any, Any]
Serve = Callable[..., Any]


def refuse_malformed(
    handler: grpc.RpcMethodHandler[Any, Any], reader: Callable[[bytes], Message | Malformed]
) -> grpc.RpcMethodHandler[Any, Any]:
    """The same method, which answers INVALID_ARGUMENT to what the reader cannot read."""
    if handler.unary_unary is not None:
        return grpc.unary_unary_rpc_method_handler(
            _one(handler.unary_unary), reader, handler.response_serializer
        )
    if handler.unary_stream is not None:  # which writes its events itself, as a coroutine
        return grpc.unary_stream_rpc_method_handler(
            _one(handler.unary_stream), reader, handler.response_serializer
        )
    if handler.stream_stream is not None:
        return grpc.stream_stream_rpc_method_handler(
            _many(handler.stream_stream), reader, handler.response_serializer
        )
    raise TypeError("no method of another package takes many requests and gives one reply")


def _one(serve: Serve) -> Serve:
    async def call(request: Message | Malformed, context: Context) -> Any:  # noqa: ANN401 - whatever it gives
        return await serve(await _checked(request, context), context)

    return call


def _many(serve: Serve) -> Serve:
    async def stream(
        requests: AsyncIterable[Message | Malformed], context: Context
    ) -> AsyncIterator[Message]:
        checked = (await _checked(request, context) async for request in requests)
        async for event in serve(checked, context):
            yield event

    return stream


async def _checked(request: Message | Malformed, context: Context) -> Message:
    if isinstance(request, Malformed):
        violation = request.violation
        await context.abort(
            grpc.StatusCode.INVALID_ARGUMENT, f"{violation.field}: {violation.description}"
        )
    return request
