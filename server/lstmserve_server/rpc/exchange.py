"""One request and its reply: what goes out, and what is counted of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence

from msgspec.structs import replace

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.engine.outbox import merge
from lstmserve_server.replies.reply import Part
from lstmserve_server.replies.request import ReplyRequest
from lstmserve_server.rpc.call import ReplyObserver, Served, Transcript
from lstmserve_server.rpc.events import (
    find_labels,
    to_chunk,
    to_classification,
    to_completion,
    to_started,
)
from lstmserve_server.store.served_model import ServedModel

# so many that have no text are told without it: a stream that breaks goes on behind them
MAX_HELD_TOKENS = 32


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
        self.asked = asked
        self._request = asked.generation
        self._classification = asked.understood.classification
        self._question = asked.understood.question
        self._form_seconds = asked.form_seconds
        self.model = model
        self._observer = observer
        self._logged_prompt = logged_prompt
        # those of the tokens that the caller has already are told again at the end
        self._labels = self._find_labels(asked.generation.resume_ids)
        if self._classification is not None:
            self._labels = [self._classification.label]
        self._texts: list[str] = []  # to be logged
        self.num_tokens = 0
        self.last: Part | None = None
        self._held: list[Part] = []  # they have no text
        self.parts = parts

    def to_events(self, part: Part) -> Iterator[pb.GenerateResponse]:
        """Yield a part's events: Started and what the request is about before the first, the
        completion after the last. Tokens without text wait until others bring some, or until
        there are many; those of the first part do not.
        """
        is_first = self.last is None
        self._count(part)
        self._held.append(part)
        if not is_first and self._waits_for_text(part):
            return
        part, self._held = _join(self._held), []
        if is_first:
            yield pb.GenerateResponse(started=self._to_started(part))
            if self._classification is not None:
                found = to_classification(self._classification)
                yield pb.GenerateResponse(classification=found)
        yield pb.GenerateResponse(chunk=to_chunk(part.output, self.model.bundle.tokenizer))
        if part.output.finish is not None:
            yield pb.GenerateResponse(completion=self._to_completion(part))

    def to_reply(self, parts: Sequence[Part], *, is_best: bool = True) -> pb.GenerateReplyResponse:
        """Return the whole reply: the same events folded. The last part has ``finish``.

        Of several replies to one request only the outcome of the best counts.
        """
        whole = _join(parts)
        self._count(whole, is_best=is_best)
        chunk = to_chunk(whole.output, self.model.bundle.tokenizer)
        found = self._classification
        return pb.GenerateReplyResponse(
            text=chunk.text,
            token_ids=chunk.token_ids,
            logprobs=chunk.logprobs,
            started=self._to_started(whole),
            completion=self._to_completion(whole),
            classification=None if found is None else to_classification(found),
        )

    def discard(self, parts: Sequence[Part]) -> None:
        """Count these, which have come for a caller who gets nothing."""
        if parts and not parts[-1].provenance.outcome.is_shared:  # nobody else gets them either
            self._observer.on_discarded(sum(len(part.output.token_ids) for part in parts))

    def sum_up(self) -> Served:
        """Return what the caller got."""
        last = self.last
        provenance = None if last is None else last.provenance
        finish = None if last is None else last.output.finish
        prompt = self._logged_prompt
        return Served(
            self.model.name,
            self.model.version,
            len(self._request.prompt_ids),
            self.num_tokens,
            finish_reason=finish.reason.name.lower() if finish else "",
            cache=provenance.outcome.value if provenance else "",
            lookup_seconds=provenance.lookup_seconds if provenance else 0.0,
            timings=finish.timings if finish else None,
            transcript=None if prompt is None else Transcript(prompt, "".join(self._texts)),
        )

    def _waits_for_text(self, part: Part) -> bool:
        if part.output.text or part.output.finish is not None:
            return False
        return sum(len(each.output.token_ids) for each in self._held) < MAX_HELD_TOKENS

    def _count(self, part: Part, *, is_best: bool = True) -> None:
        output = part.output
        self.last = part
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
        return [] if self._classification is not None else find_labels(token_ids, self.model)

    def _to_completion(self, part: Part) -> pb.Completion | None:
        return to_completion(part, self._labels, self._form_seconds)

    def _to_started(self, part: Part) -> pb.Started:
        return to_started(self.model, part, self._request_id, self._question)


def _join(parts: Sequence[Part]) -> Part:
    """Return consecutive parts of a reply, at least one, as one."""
    if len(parts) == 1:
        return parts[0]
    return replace(parts[-1], output=merge([part.output for part in parts]))
