"""One request and its reply: counts what goes out, and turns it into messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.cache.answer import SHARED, Answer
from lstmserve_server.engine.outbox import merge
from lstmserve_server.engine.output import Finish, Output
from lstmserve_server.rpc.call import Call
from lstmserve_server.rpc.events import find_labels, to_chunk, to_completion, to_started
from lstmserve_server.rpc.observer import CallObserver
from lstmserve_server.store.catalog import ServedModel


class Exchange:
    """An answer on its way to a caller."""

    def __init__(
        self, call: Call, model: ServedModel, answer: Answer, observer: CallObserver
    ) -> None:
        self._call = call
        self._model = model
        self._observer = observer
        self._is_started = False
        # those of the tokens that the caller has already are told again at the end
        self._labels = find_labels(answer.request.resume_ids, model)
        self.answer = answer

    def to_events(self, output: Output) -> Iterator[pb.GenerateResponse]:
        """The events of an output: Started before the first, the completion after the last."""
        self._count(output)
        if not self._is_started:
            self._is_started = True
            yield pb.GenerateResponse(started=self._to_started())
        yield pb.GenerateResponse(chunk=to_chunk(output, self._model.bundle.tokenizer))
        if output.finish is not None:
            yield pb.GenerateResponse(completion=self._to_completion(output.finish))

    def to_reply(self, outputs: Sequence[Output]) -> pb.GenerateReplyResponse:
        """The whole reply: the same events folded. The last output has ``finish``."""
        whole = merge(list(outputs))
        self._count(whole)
        chunk = to_chunk(whole, self._model.bundle.tokenizer)
        return pb.GenerateReplyResponse(
            text=chunk.text,
            token_ids=chunk.token_ids,
            logprobs=chunk.logprobs,
            started=self._to_started(),
            completion=None if whole.finish is None else self._to_completion(whole.finish),
        )

    def discard(self, outputs: Sequence[Output]) -> None:
        """These have come for a caller who gets nothing."""
        if self.answer.provenance.outcome not in SHARED:  # nobody else gets them either
            count = sum(len(output.token_ids) for output in outputs)
            self._observer.on_discarded(self._call, count)

    def _count(self, output: Output) -> None:
        call = self._call
        call.cache = self.answer.provenance.outcome.value
        call.generated_tokens += len(output.token_ids)
        self._observer.on_tokens(call, len(output.token_ids))
        self._labels += find_labels(output.token_ids, self._model)
        if output.finish is not None:
            call.saved_seconds = self.answer.saved_seconds
            call.finish_reason = output.finish.reason.name.lower()
            self._observer.on_finished(call, output.finish)

    def _to_started(self) -> pb.Started:
        return to_started(self._model, self.answer, self._call.request_id)

    def _to_completion(self, finish: Finish) -> pb.Completion:
        return to_completion(finish, self.answer, self._labels)
