"""GenerationService: a request becomes a stream of events, or one whole reply."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import generation_service_pb2_grpc
from lstmserve_server.rpc.exchanges import Exchanges

Context = grpc.aio.ServicerContext[Any, Any]


class GenerationServicer(generation_service_pb2_grpc.GenerationServiceServicer):
    """Both methods tell the same, streamed or folded."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges

    async def Generate(
        self, request: pb.GenerateRequest, context: Context
    ) -> AsyncIterator[pb.GenerateResponse]:
        async with (
            self._exchanges.begin(request, context) as exchange,
            aclosing(exchange.parts) as parts,
        ):
            async for part in parts:
                for event in exchange.to_events(part):
                    yield event

    async def GenerateReply(
        self, request: pb.GenerateReplyRequest, context: Context
    ) -> pb.GenerateReplyResponse:
        return await self._exchanges.reply(request, context)
