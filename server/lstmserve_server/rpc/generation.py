"""GenerationService, and the exchange of a request for its reply that all such services share."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import generation_service_pb2_grpc
from lstmserve_server.engine.outbox import merge
from lstmserve_server.replies.reply import Part
from lstmserve_server.replies.request import ReplyRequest
from lstmserve_server.rpc.call import (
    Call,
    CallObserver,
    ReplyObserver,
    Served,
    Transcript,
    current_call,
)
from lstmserve_server.rpc.classifying import Classifying
from lstmserve_server.rpc.events import (
    find_labels,
    to_chunk,
    to_classification,
    to_completion,
    to_started,
)
from lstmserve_server.rpc.identity import sticky_key
from lstmserve_server.rpc.request import last_turn, to_reply_request
from lstmserve_server.rpc.samples import Samples
from lstmserve_server.rpc.service import Service
from lstmserve_server.rpc.validation import Request, count_samples
from lstmserve_server.store.served_model import ServedModel

Context = grpc.aio.ServicerContext[Any, Any]


class Exchange:
    """One request and its reply: counts what goes out, and turns it into messages."""

    def __init__(
        self,
        request_id: str,
        asked: ReplyRequest,
        model: ServedModel,
        parts: AsyncGenerator[Part],
        observer: ReplyObserver,
        *,
        logged_prompt: str | None,
    ) -> None:
        """Own ``parts``, the reply's. With a ``logged_prompt`` the reply's text is logged, too."""
        self._request_id = request_id
        self._request = asked.generation
        self._classification = asked.understood.classification
        self._question = asked.understood.question
        self._model = model
        self._observer = observer
        self._logged_prompt = logged_prompt
        # those of the tokens that the caller has already are told again at the end
        self._labels = self._find_labels(asked.generation.resume_ids)
        if self._classification is not None:
            self._labels = [self._classification.label]
        self._texts: list[str] = []  # to be logged
        self.num_tokens = 0
        self._last: Part | None = None
        self.parts = parts

    def to_events(self, part: Part) -> Iterator[pb.GenerateResponse]:
        """Yield a part's events: Started and what the request is about before the first, the
        completion after the last.
        """
        is_first = self._last is None
        self._count(part)
        if is_first:
            yield pb.GenerateResponse(started=self._to_started(part))
            if self._classification is not None:
                found = to_classification(self._classification)
                yield pb.GenerateResponse(classification=found)
        yield pb.GenerateResponse(chunk=to_chunk(part.output, self._model.bundle.tokenizer))
        if part.output.finish is not None:
            yield pb.GenerateResponse(completion=to_completion(part, self._labels))

    def to_reply(self, parts: Sequence[Part], *, is_best: bool = True) -> pb.GenerateReplyResponse:
        """Return the whole reply: the same events folded. The last part has ``finish``.

        Of several replies to one request only the outcome of the best counts.
        """
        whole = parts[-1]
        if len(parts) > 1:
            whole = replace(whole, output=merge([part.output for part in parts]))
        self._count(whole, is_best=is_best)
        chunk = to_chunk(whole.output, self._model.bundle.tokenizer)
        found = self._classification
        return pb.GenerateReplyResponse(
            text=chunk.text,
            token_ids=chunk.token_ids,
            logprobs=chunk.logprobs,
            started=self._to_started(whole),
            completion=to_completion(whole, self._labels),
            classification=None if found is None else to_classification(found),
        )

    def discard(self, parts: Sequence[Part]) -> None:
        """Count these, which have come for a caller who gets nothing."""
        if parts and not parts[-1].provenance.outcome.is_shared:  # nobody else gets them either
            self._observer.on_discarded(sum(len(part.output.token_ids) for part in parts))

    def sum_up(self) -> Served:
        """Return what the caller got."""
        last = self._last
        provenance = None if last is None else last.provenance
        finish = None if last is None else last.output.finish
        prompt = self._logged_prompt
        return Served(
            self._model.name,
            self._model.version,
            len(self._request.prompt_ids),
            self.num_tokens,
            finish_reason=finish.reason.name.lower() if finish else "",
            cache=provenance.outcome.value if provenance else "",
            lookup_seconds=provenance.lookup_seconds if provenance else 0.0,
            timings=finish.timings if finish else None,
            transcript=None if prompt is None else Transcript(prompt, "".join(self._texts)),
        )

    def _count(self, part: Part, *, is_best: bool = True) -> None:
        output = part.output
        self._last = part
        self.num_tokens += len(output.token_ids)
        if self._logged_prompt is not None:
            self._texts.append(output.text)
        self._labels += self._find_labels(output.token_ids)
        self._observer.on_tokens(len(output.token_ids), part.provenance.outcome.value)
        if output.finish is not None:
            self._observer.on_finished(output.finish.timings, part.saved_seconds)
            if self._classification is not None and is_best:
                self._observer.on_outcome(part.outcome.value)

    def _find_labels(self, token_ids: Sequence[int]) -> list[str]:
        """Return the labels that the model told, where no classifier has told it one."""
        return [] if self._classification is not None else find_labels(token_ids, self._model)

    def _to_started(self, part: Part) -> pb.Started:
        return to_started(self._model, part, self._request_id, self._question)


class Exchanges:
    """Begins them, for the call that is being served."""

    def __init__(self, service: Service, observer: CallObserver) -> None:
        self._catalog = service.catalog
        self._replies = service.replies
        self._tokenizing = service.tokenizing
        self._is_per_caller = service.cache_config.is_per_caller
        self._is_text_logged = service.is_text_logged
        self._most_at_once = service.max_running
        self._observer = observer

    @asynccontextmanager
    async def begin(
        self, request: Request, context: Context, timeout_seconds: float = math.inf
    ) -> AsyncIterator[Exchange]:
        """Begin the reply to one request. Its model is not unloaded within the block."""
        async with self._begin(request, context, timeout_seconds) as samples:
            yield samples.exchanges[0]

    @asynccontextmanager
    async def _begin(
        self, request: Request, context: Context, timeout_seconds: float
    ) -> AsyncIterator[Samples]:
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
                int(min(self._most_at_once, call.identity.most_at_once)),
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
        count = count_samples(request) if isinstance(request, pb.GenerateReplyRequest) else 1
        for number, each in enumerate(asked.samples(count)):
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
        async with self._begin(request, context, timeout_seconds) as samples:
            return await samples.reply(request)


class GenerationServicer(generation_service_pb2_grpc.GenerationServiceServicer):
    """Generate and GenerateReply tell the same, streamed or folded."""

    def __init__(self, exchanges: Exchanges, classifying: Classifying) -> None:
        self._exchanges = exchanges
        self._classifying = classifying

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

    async def Classify(self, request: pb.ClassifyRequest, context: Context) -> pb.ClassifyResponse:
        return await self._classifying.classify(request, context)
