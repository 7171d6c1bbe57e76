"""A reply without its chunks and its times: what must be the same wherever it comes from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from lstmserve.v1 import generation_service_pb2 as pb


@dataclass(frozen=True)
class WholeReply:
    """Two are equal if a caller that looks at every bit cannot tell them apart."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[bytes, ...]
    finish_reason: int
    stop_sequence: str
    prompt_tokens: int
    generated_tokens: int
    labels: tuple[str, ...]
    model: tuple[str, str, str]
    seed: int
    outcome: int = field(compare=False)
    known_tokens: int = field(compare=False)


def whole_of(events: Iterable[pb.GenerateResponse]) -> WholeReply:
    """A streamed reply, which must be one Started, chunks, and one Completion."""
    events = list(events)
    kinds = [event.WhichOneof("event") for event in events]
    kinds = [kind for kind in kinds if kind != "classification"]
    assert kinds == ["started", *["chunk"] * (len(kinds) - 2), "completion"], kinds
    chunks = [event.chunk for event in events if event.HasField("chunk")]
    assert all(chunk.token_ids for chunk in chunks)
    return _whole(
        "".join(chunk.text for chunk in chunks),
        [token_id for chunk in chunks for token_id in chunk.token_ids],
        [entry for chunk in chunks for entry in chunk.logprobs],
        events[0].started,
        events[-1].completion,
    )


def whole_of_unary(reply: pb.GenerateReplyResponse) -> WholeReply:
    return _whole(reply.text, reply.token_ids, reply.logprobs, reply.started, reply.completion)


def to_unary(request: pb.GenerateRequest) -> pb.GenerateReplyRequest:
    """The same request for the whole reply at once; it resumes nothing."""
    assert not request.resume_tokens
    return pb.GenerateReplyRequest.FromString(request.SerializeToString())


def _whole(
    text: str,
    token_ids: Iterable[int],
    logprobs: Iterable[pb.TokenLogprobs],
    started: pb.Started,
    completion: pb.Completion,
) -> WholeReply:
    assert started.cache == completion.cache
    usage = completion.usage
    assert started.prompt_tokens == usage.prompt_tokens
    return WholeReply(
        text,
        tuple(token_ids),
        tuple(entry.SerializeToString(deterministic=True) for entry in logprobs),
        completion.finish_reason,
        completion.stop_sequence,
        usage.prompt_tokens,
        usage.generated_tokens,
        tuple(completion.labels),
        (started.model, started.model_version, started.model_digest),
        started.seed,
        completion.cache,
        usage.cached_prompt_tokens,
    )
