"""A streamed reply as one comparable value."""

from __future__ import annotations

from collections.abc import Iterable

from lstmserve.v1 import generation_service_pb2 as pb


class BrokenReplyError(Exception):
    """A stream that ended with OK but is no whole reply."""


def assemble(messages: Iterable[bytes]) -> pb.GenerateReplyResponse:
    """What the stream said, without what may differ: its pieces, times and names."""
    reply = pb.GenerateReplyResponse()
    for message in messages:
        event = pb.GenerateResponse.FromString(message)
        if event.HasField("started"):
            reply.started.CopyFrom(_keep_started(event.started))
        elif event.HasField("chunk"):
            reply.text += event.chunk.text
            reply.token_ids.extend(event.chunk.token_ids)
            reply.logprobs.extend(event.chunk.logprobs)
        elif event.HasField("completion"):
            reply.completion.CopyFrom(_keep_completion(event.completion))
    if not reply.HasField("completion"):
        raise BrokenReplyError("the stream ended without a completion")
    return reply


def _keep_started(started: pb.Started) -> pb.Started:
    return pb.Started(
        model=started.model,
        model_version=started.model_version,
        model_digest=started.model_digest,
        seed=started.seed,
        prompt_tokens=started.prompt_tokens,
    )


def _keep_completion(completion: pb.Completion) -> pb.Completion:
    return pb.Completion(
        finish_reason=completion.finish_reason,
        stop_sequence=completion.stop_sequence,
        usage=pb.Usage(generated_tokens=completion.usage.generated_tokens),
        labels=completion.labels,
    )


def describe_difference(alone: pb.GenerateReplyResponse, loaded: pb.GenerateReplyResponse) -> str:
    """The first field that differs, and where."""
    for number, (one, other) in enumerate(zip(alone.token_ids, loaded.token_ids, strict=False)):
        if one != other:
            return f"token {number} is {other}, alone {one}"
    if len(alone.token_ids) != len(loaded.token_ids):
        return f"{len(loaded.token_ids)} tokens, alone {len(alone.token_ids)}"
    for number, (ours, theirs) in enumerate(zip(alone.logprobs, loaded.logprobs, strict=False)):
        if ours != theirs:
            return f"log-probabilities of token {number}: {theirs}, alone {ours}"
    if alone.text != loaded.text:
        return f"text {loaded.text!r}, alone {alone.text!r}"
    return f"{loaded.completion} {loaded.started}, alone {alone.completion} {alone.started}"
