"""Replies that a test writes down, as the wire carries them. Pure functions."""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_client.errors import ResumeError
from lstmserve_client.testing.requests import FakeRequest
from lstmserve_client.types import Classification, FinishReason, Model, ReplyOutcome, ReplySource

_WORD = re.compile(r"\s*\S+|\s+\Z")
_FINISH_REASONS = {
    FinishReason.END_OF_TEXT: pb.FINISH_REASON_END_OF_TEXT,
    FinishReason.MAX_TOKENS: pb.FINISH_REASON_MAX_TOKENS,
    FinishReason.STOP_SEQUENCE: pb.FINISH_REASON_STOP_SEQUENCE,
}
_SOURCES: dict[ReplySource, pb.ReplySource.ValueType] = {
    source: pb.ReplySource.Value(f"REPLY_SOURCE_{source.name}")
    for source in ReplySource
    if source is not ReplySource.UNKNOWN
}
_OUTCOMES: dict[ReplyOutcome, pb.ReplyOutcome.ValueType] = {
    outcome: pb.ReplyOutcome.Value(f"REPLY_OUTCOME_{outcome.name}")
    for outcome in ReplyOutcome
    if outcome is not ReplyOutcome.UNKNOWN
}
_LOGPROB = -0.25  # of every token; the next likely ones have multiples of it


@dataclass(frozen=True, slots=True)
class FakeReply:
    """One reply before any limit of the request: each word of the text becomes a token."""

    text: str
    labels: tuple[str, ...] = ()  # such as "intent:cancel_order"
    tokens_per_chunk: int = 1
    classification: Classification | None = None  # also what ``classify`` gives for the question
    outcome: ReplyOutcome = ReplyOutcome.ANSWERED
    source: ReplySource = ReplySource.MODEL


Tokens: TypeAlias = list[tuple[int, str]]  # ids with their texts


@dataclass(frozen=True, slots=True)
class _Spoken:
    """What a request gets of a reply, after its limits."""

    labels: tuple[str, ...]
    tokens: Tokens
    finish_reason: FinishReason
    stop_sequence: str = ""


def events(reply: FakeReply, request: FakeRequest, model: Model) -> Iterator[pb.GenerateResponse]:
    """The stream, after the tokens that the request says it has; raises ResumeError."""
    spoken = _speak(reply, request)
    known = len(request.resume_tokens)
    if tuple(token_id for token_id, _ in spoken.tokens[:known]) != request.resume_tokens:
        raise ResumeError("resume_tokens: not of this reply", reason="RESUME_MISMATCH")
    yield pb.GenerateResponse(started=_started(reply, request, model))
    if reply.classification is not None:
        yield pb.GenerateResponse(classification=to_wire(reply.classification))
    step = reply.tokens_per_chunk
    for first in range(known, len(spoken.tokens), step):
        yield pb.GenerateResponse(chunk=_chunk(spoken.tokens[first : first + step], request))
    yield pb.GenerateResponse(completion=_completion(reply, spoken, request))


def whole(reply: FakeReply, request: FakeRequest, model: Model) -> pb.GenerateReplyResponse:
    """The reply at once."""
    spoken = _speak(reply, request)
    chunk = _chunk(spoken.tokens, request)
    is_one_of_several = max(request.best_of or 1, request.num_replies or 1) > 1
    return pb.GenerateReplyResponse(
        text=chunk.text,
        token_ids=chunk.token_ids,
        logprobs=chunk.logprobs,
        started=_started(reply, request, model),
        completion=_completion(reply, spoken, request),
        classification=to_wire(reply.classification) if reply.classification else None,
        mean_logprob=_LOGPROB if is_one_of_several else None,
    )


def _speak(reply: FakeReply, request: FakeRequest) -> _Spoken:
    """Apply the request's stop sequences, then its longest reply."""
    text, stop = _cut(reply.text, request.stopping.stop_sequences)
    tokens: Tokens = [(_token_id(word), word) for word in _WORD.findall(text)]
    longest = request.stopping.max_tokens
    if longest is not None and len(tokens) > longest:
        return _Spoken(reply.labels, tokens[:longest], FinishReason.MAX_TOKENS)
    reason = FinishReason.STOP_SEQUENCE if stop else FinishReason.END_OF_TEXT
    return _Spoken(reply.labels, tokens, reason, stop)


def _cut(text: str, stop_sequences: tuple[str, ...]) -> tuple[str, str]:
    """The text before the first stop sequence that it contains, and that one."""
    found = [(text.index(stop), stop) for stop in stop_sequences if stop in text]
    position, stop = min(found, default=(len(text), ""))
    return text[:position], stop


def _token_id(word: str) -> int:
    """The same for the same word, in every process."""
    return zlib.crc32(word.encode()) & 0xFFFF


def _started(reply: FakeReply, request: FakeRequest, model: Model) -> pb.Started:
    return pb.Started(
        model=model.name,
        model_version=model.version,
        model_digest=model.digest,
        seed=request.sampling.seed or 0,
        prompt_tokens=len(_WORD.findall(request.text)),
        cache=pb.CACHE_OUTCOME_BYPASS,
        request_id=request.request_id,
        is_inexact=model.is_inexact,
        source=_SOURCES[reply.source],
    )


def to_wire(found: Classification) -> pb.Classification:
    """What a text is about, as the wire carries it."""
    ranking = [pb.Label(name=each.name, probability=each.probability) for each in found.ranking]
    return pb.Classification(
        label=ranking[0],
        alternatives=ranking[1:],
        in_scope_probability=found.in_scope_probability,
    )


def _chunk(tokens: Tokens, request: FakeRequest) -> pb.Chunk:
    num_top = request.sampling.logprobs
    return pb.Chunk(
        text="".join(text for _, text in tokens),
        token_ids=[token_id for token_id, _ in tokens],
        logprobs=[] if num_top is None else [_logprobs(*token, num_top) for token in tokens],
    )


def _logprobs(token_id: int, text: str, num_top: int) -> pb.TokenLogprobs:
    top = [
        pb.TokenLogprob(token_id=token_id + rank, logprob=_LOGPROB * (rank + 1), text=text)
        for rank in range(num_top)
    ]
    return pb.TokenLogprobs(logprob=_LOGPROB, top=top)


def _completion(reply: FakeReply, spoken: _Spoken, request: FakeRequest) -> pb.Completion:
    return pb.Completion(
        finish_reason=_FINISH_REASONS[spoken.finish_reason],
        stop_sequence=spoken.stop_sequence,
        usage=pb.Usage(
            prompt_tokens=len(_WORD.findall(request.text)), generated_tokens=len(spoken.tokens)
        ),
        cache=pb.CACHE_OUTCOME_BYPASS,
        labels=spoken.labels,
        outcome=_OUTCOMES[reply.outcome],
    )
