"""GenerationService: a request becomes a stream of events, or one whole reply."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import generation_service_pb2_grpc
from lstmserve_server.cache.ask import Ask
from lstmserve_server.engine.output import Finish
from lstmserve_server.rpc.ask import to_ask
from lstmserve_server.rpc.call import Call, current_call
from lstmserve_server.rpc.events import find_labels, to_chunk, to_completion, to_started
from lstmserve_server.rpc.observer import CallObserver
from lstmserve_server.rpc.service import Service
from lstmserve_server.rpc.validation import Request

Context = grpc.aio.ServicerContext[Any, Any]


class GenerationServicer(generation_service_pb2_grpc.GenerationServiceServicer):
    """Both methods are the same events, streamed or folded."""

    def __init__(self, service: Service, observer: CallObserver) -> None:
        self._catalog = service.catalog
        self._caches = service.caches
        self._is_per_caller = service.cache_config.is_per_caller
        self._observer = observer

    async def Generate(
        self, request: pb.GenerateRequest, context: Context
    ) -> AsyncIterator[pb.GenerateResponse]:
        async with aclosing(self._events(request, context)) as events:
            async for event in events:
                yield event

    async def GenerateReply(
        self, request: pb.GenerateReplyRequest, context: Context
    ) -> pb.GenerateReplyResponse:
        events = [event async for event in self._events(request, context)]
        chunks = [event.chunk for event in events if event.HasField("chunk")]
        return pb.GenerateReplyResponse(
            text="".join(chunk.text for chunk in chunks),
            token_ids=[token_id for chunk in chunks for token_id in chunk.token_ids],
            logprobs=[entry for chunk in chunks for entry in chunk.logprobs],
            started=events[0].started,
            completion=events[-1].completion,
        )

    async def _events(
        self, request: Request, context: Context
    ) -> AsyncGenerator[pb.GenerateResponse]:
        """Started with the first output, a chunk for each output, the completion last."""
        call = current_call.get()
        model = self._catalog.resolve(request.model, request.model_version)
        ask = to_ask(request, call, context, model, is_per_caller=self._is_per_caller)
        self._accept(call, ask)
        labels = find_labels(ask.request.resume_ids, model)
        answer = self._caches.answer(ask)
        is_first = True
        async with aclosing(answer.outputs) as outputs:
            async for output in outputs:
                if is_first:
                    call.cache = answer.provenance.outcome.value
                    yield pb.GenerateResponse(started=to_started(model, answer, call.request_id))
                    is_first = False
                call.generated_tokens += len(output.token_ids)
                self._observer.on_tokens(call, len(output.token_ids))
                labels += find_labels(output.token_ids, model)
                yield pb.GenerateResponse(chunk=to_chunk(output, model.bundle.tokenizer))
                if output.finish is not None:
                    call.saved_seconds = answer.saved_seconds
                    self._finish(call, output.finish)
                    completion = to_completion(output.finish, answer, labels)
                    yield pb.GenerateResponse(completion=completion)

    def _accept(self, call: Call, ask: Ask) -> None:
        call.model, call.version = ask.owner.model, ask.owner.version
        self._observer.on_accepted(call, len(ask.request.prompt_ids))

    def _finish(self, call: Call, finish: Finish) -> None:
        call.finish_reason = finish.reason.name.lower()
        self._observer.on_finished(call, finish)
