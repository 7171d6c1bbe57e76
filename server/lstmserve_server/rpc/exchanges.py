"""From a request to its reply: the one way that every servicer of replies goes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.engine.outbox import merge
from lstmserve_server.replies.reply import Part
from lstmserve_server.rpc.call import Call, Transcript, current_call
from lstmserve_server.rpc.events import find_labels, to_chunk, to_completion, to_started
from lstmserve_server.rpc.identity import sticky_key
from lstmserve_server.rpc.observer import CallObserver
from lstmserve_server.rpc.request import last_turn, to_reply_request
from lstmserve_server.rpc.service import Service
from lstmserve_server.rpc.validation import Request
from lstmserve_server.store.served_model import ServedModel

Context = grpc.aio.ServicerContext[Any, Any]


class Exchange:
    """One request and its reply: counts what goes out, and turns it into messages."""

    def __init__(
        self,
        call: Call,
        model: ServedModel,
        parts: AsyncGenerator[Part],
        resume_ids: Sequence[int],
        observer: CallObserver,
    ) -> None:
        """Own ``parts``, the reply's; ``resume_ids`` are the tokens that the caller has."""
        self._call = call
        self._model = model
        self._observer = observer
        self._is_started = False
        # those of the tokens that the caller has already are told again at the end
        self._labels = find_labels(resume_ids, model)
        self.parts = parts

    def to_events(self, part: Part) -> Iterator[pb.GenerateResponse]:
        """Yield a part's events: Started before the first, the completion after the last."""
        self._count(part)
        if not self._is_started:
            self._is_started = True
            yield pb.GenerateResponse(started=self._to_started(part))
        yield pb.GenerateResponse(chunk=to_chunk(part.output, self._model.bundle.tokenizer))
        if part.output.finish is not None:
            yield pb.GenerateResponse(completion=to_completion(part, self._labels))

    def to_reply(self, parts: Sequence[Part]) -> pb.GenerateReplyResponse:
        """Return the whole reply: the same events folded. The last part has ``finish``."""
        whole = replace(parts[-1], output=merge([part.output for part in parts]))
        self._count(whole)
        chunk = to_chunk(whole.output, self._model.bundle.tokenizer)
        return pb.GenerateReplyResponse(
            text=chunk.text,
            token_ids=chunk.token_ids,
            logprobs=chunk.logprobs,
            started=self._to_started(whole),
            completion=to_completion(whole, self._labels),
        )

    def discard(self, parts: Sequence[Part]) -> None:
        """Count these, which have come for a caller who gets nothing."""
        if parts and not parts[-1].provenance.outcome.is_shared:  # nobody else gets them either
            self._observer.on_discarded(
                self._call, sum(len(part.output.token_ids) for part in parts)
            )

    def _count(self, part: Part) -> None:
        call, output = self._call, part.output
        call.cache = part.provenance.outcome.value
        call.lookup_seconds = part.provenance.lookup_seconds
        call.generated_tokens += len(output.token_ids)
        if call.transcript is not None:
            call.transcript.reply += output.text
        self._observer.on_tokens(call, len(output.token_ids))
        self._labels += find_labels(output.token_ids, self._model)
        if output.finish is not None:
            call.saved_seconds = part.saved_seconds
            call.finish_reason = output.finish.reason.name.lower()
            call.timings = output.finish.timings
            self._observer.on_finished(call, output.finish)

    def _to_started(self, part: Part) -> pb.Started:
        return to_started(self._model, part, self._call.request_id)


class Exchanges:
    """Begins them, for the call that is being served."""

    def __init__(self, service: Service, observer: CallObserver) -> None:
        self._catalog = service.catalog
        self._replies = service.replies
        self._tokenizing = service.tokenizing
        self._is_per_caller = service.cache_config.is_per_caller
        self._is_text_logged = service.is_text_logged
        self._observer = observer

    @asynccontextmanager
    async def begin(self, request: Request, context: Context) -> AsyncIterator[Exchange]:
        """Begin the reply to one request. Its model is not unloaded within the block."""
        call = current_call.get()
        key = sticky_key(request, call.identity.sticky)
        model = self._catalog.resolve(request.model, request.model_version, key)
        with model.gate.enter():
            asked = await to_reply_request(
                request,
                call,
                context,
                model,
                self._tokenizing,
                is_per_caller=self._is_per_caller,
            )
            call.model, call.version = model.name, model.version
            call.prompt_tokens = len(asked.generation.prompt_ids)
            if self._is_text_logged:
                call.transcript = Transcript(last_turn(request))
            self._observer.on_accepted(call, call.prompt_tokens)
            parts = self._replies.answer(asked, model)
            yield Exchange(call, model, parts, asked.generation.resume_ids, self._observer)

    async def reply(self, request: Request, context: Context) -> pb.GenerateReplyResponse:
        """Return the whole reply at once."""
        parts: list[Part] = []
        async with self.begin(request, context) as exchange:
            try:
                async with aclosing(exchange.parts) as coming:
                    async for part in coming:
                        parts.append(part)  # noqa: PERF401 - what came before an error counts
            except BaseException:
                exchange.discard(parts)
                raise
            return exchange.to_reply(parts)
