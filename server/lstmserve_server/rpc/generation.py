"""GenerationService, and how all services that answer requests begin to."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import generation_service_pb2_grpc
from lstmserve_server.replies.request import ReplyRequest
from lstmserve_server.rpc.call import Call, CallObserver, ReplyObserver, current_call
from lstmserve_server.rpc.classifying import Classifying
from lstmserve_server.rpc.exchange import Exchange
from lstmserve_server.rpc.identity import sticky_key
from lstmserve_server.rpc.repeats import Repeats
from lstmserve_server.rpc.request import last_turn, to_reply_request
from lstmserve_server.rpc.samples import Samples, count_samples
from lstmserve_server.rpc.service import Service
from lstmserve_server.rpc.validation import Request
from lstmserve_server.store.served_model import ServedModel

Context = grpc.aio.ServicerContext[Any, Any]


class Exchanges:
    """Begins them, for the call that is being served."""

    def __init__(self, service: Service, observer: CallObserver) -> None:
        self._catalog = service.catalog
        self._replies = service.replies
        self._tokenizing = service.tokenizing
        self._constraining = service.constraining
        self._is_per_caller = service.cache_config.is_per_caller
        self._is_text_logged = service.is_text_logged
        self._max_running = service.max_running
        self._observer = observer

    @asynccontextmanager
    async def begin(
        self, request: Request, context: Context, timeout_seconds: float = math.inf
    ) -> AsyncIterator[Exchange]:
        """Begin the reply to one request. Its model is not unloaded within the block."""
        async with self.begin_all(request, context, timeout_seconds) as samples:
            yield samples.exchanges[0]

    @asynccontextmanager
    async def begin_all(
        self, request: Request, context: Context, timeout_seconds: float = math.inf
    ) -> AsyncIterator[Samples]:
        """Begin all replies that are sampled for one request, as ``begin`` does one."""
        running = current_call.get()
        call = running.call
        key = sticky_key(request, call.identity.sticky)
        model = self._catalog.resolve(request.model, request.model_version, key)
        with model.gate.enter():
            asked = await to_reply_request(
                request,
                call,
                context,
                model,
                self._tokenizing,
                self._constraining,
                is_per_caller=self._is_per_caller,
                timeout_seconds=timeout_seconds,
            )
            num_tokens = len(asked.generation.prompt_ids)
            observer = self._observer.on_accepted(call, model.name, model.version, num_tokens)
            classification = asked.understood.classification
            if classification is not None:
                self._observer.on_classified(
                    model.name, model.version, classification.label, classification.probability
                )
            samples = Samples(
                [*self._exchanges(request, call, asked, model, observer)],
                call.identity.most_at_once(self._max_running),
            )
            try:
                yield samples
            finally:
                running.served = samples.sum_up()

    def _exchanges(
        self,
        request: Request,
        call: Call,
        asked: ReplyRequest,
        model: ServedModel,
        observer: ReplyObserver,
    ) -> Iterator[Exchange]:
        """Yield the exchanges for all replies that are to be sampled."""
        for number, each in enumerate(asked.samples(count_samples(request))):
            yield Exchange(
                call.request_id,
                each,
                model,
                self._replies.answer(each, model),
                observer if number == 0 else observer.another(),
                logged_prompt=last_turn(request) if self._is_text_logged else None,
            )

    async def reply(
        self, request: Request, context: Context, timeout_seconds: float = math.inf
    ) -> pb.GenerateReplyResponse:
        """Return the whole reply at once, of several the best."""
        async with self.begin_all(request, context, timeout_seconds) as samples:
            return await samples.reply(request)


class GenerationServicer(generation_service_pb2_grpc.GenerationServiceServicer):
    """Generate and GenerateReply tell the same, streamed or folded."""

    def __init__(self, exchanges: Exchanges, classifying: Classifying, repeats: Repeats) -> None:
        """``repeats`` learns which whole replies may be sent again."""
        self._exchanges = exchanges
        self._classifying = classifying
        self._repeats = repeats

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
        async with self._exchanges.begin_all(request, context) as samples:
            reply = await samples.reply(request)
            if len(samples.exchanges) == 1:
                self._repeats.learn(samples.exchanges[0], reply)
            return reply

    async def Classify(self, request: pb.ClassifyRequest, context: Context) -> pb.ClassifyResponse:
        return await self._classifying.classify(request, context)
