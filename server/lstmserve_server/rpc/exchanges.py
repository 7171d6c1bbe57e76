"""From a request to its reply: the one way that every servicer of replies goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.engine.output import Output
from lstmserve_server.rpc.ask import to_ask
from lstmserve_server.rpc.call import Transcript, current_call
from lstmserve_server.rpc.exchange import Exchange
from lstmserve_server.rpc.observer import CallObserver
from lstmserve_server.rpc.request import last_turn
from lstmserve_server.rpc.service import Service
from lstmserve_server.rpc.sticky import sticky_key
from lstmserve_server.rpc.validation import Request

Context = grpc.aio.ServicerContext[Any, Any]


class Exchanges:
    """Begins them, for the call that is being served."""

    def __init__(self, service: Service, observer: CallObserver) -> None:
        self._catalog = service.catalog
        self._caches = service.caches
        self._tokenizing = service.tokenizing
        self._is_per_caller = service.cache_config.is_per_caller
        self._is_text_logged = service.is_text_logged
        self._observer = observer

    @asynccontextmanager
    async def begin(self, request: Request, context: Context) -> AsyncIterator[Exchange]:
        """The model that answers is not unloaded within the block."""
        call = current_call.get()
        key = sticky_key(request, call.identity.sticky)
        model = self._catalog.resolve(request.model, request.model_version, key)
        with model.gate.enter():
            ask = await to_ask(
                request,
                call,
                context,
                model,
                self._tokenizing,
                is_per_caller=self._is_per_caller,
            )
            call.model, call.version = model.name, model.version
            call.prompt_tokens = len(ask.request.prompt_ids)
            if self._is_text_logged:
                call.transcript = Transcript(last_turn(request))
            self._observer.on_accepted(call, call.prompt_tokens)
            yield Exchange(call, model, self._caches.answer(ask), self._observer)

    async def reply(self, request: Request, context: Context) -> pb.GenerateReplyResponse:
        """The whole reply at once."""
        outputs: list[Output] = []
        async with self.begin(request, context) as exchange:
            try:
                async with aclosing(exchange.answer.outputs) as coming:
                    async for output in coming:
                        outputs.append(output)  # noqa: PERF401 - what came before an error counts
            except BaseException:
                exchange.discard(outputs)
                raise
            return exchange.to_reply(outputs)
