"""Replies cut at one server and resumed at another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import grpc

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import generation_service_pb2_grpc

GenerationStub = generation_service_pb2_grpc.GenerationServiceStub


@dataclass
class Received:
    """What a caller has of a reply."""

    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[bytes] = field(default_factory=list)
    text_by_then: dict[int, str] = field(default_factory=dict)  # after so many tokens
    seed: int = 0
    end: tuple[object, ...] = ()
    error: grpc.RpcError | None = None

    def add(self, event: pb.GenerateResponse) -> None:
        self.seed = event.started.seed or self.seed
        self.text += event.chunk.text
        self.token_ids += event.chunk.token_ids
        self.logprobs += [entry.SerializeToString() for entry in event.chunk.logprobs]
        self.text_by_then[len(self.token_ids)] = self.text
        if event.HasField("completion"):
            last = event.completion
            counts = last.usage.prompt_tokens, last.usage.generated_tokens
            self.end = (last.finish_reason, last.stop_sequence, counts, tuple(last.labels))


def receive(stream: Iterable[pb.GenerateResponse], into: Received | None = None) -> Received:
    """Everything that comes before the end or an error."""
    received = into or Received()
    try:
        for event in stream:
            received.add(event)
    except grpc.RpcError as error:
        received.error = error
    return received


def resume(request: pb.GenerateRequest, token_ids: Iterable[int], seed: int) -> pb.GenerateRequest:
    """The request for what follows these tokens."""
    resumed = pb.GenerateRequest()
    resumed.CopyFrom(request)
    resumed.model_version = "1"
    resumed.sampling.seed = seed
    resumed.resume_tokens.extend(token_ids)
    return resumed


def check_every_cut(
    first: GenerationStub, second: GenerationStub, request: pb.GenerateRequest
) -> Received:
    """The reply of the first server, which the second one continues after every token."""
    whole = receive(first.Generate(request))
    assert whole.error is None
    assert len(whole.token_ids) > 1
    for cut in range(1, len(whole.token_ids)):
        rest = receive(second.Generate(resume(request, whole.token_ids[:cut], whole.seed)))
        assert rest.token_ids == whole.token_ids[cut:]
        assert rest.logprobs == whole.logprobs[cut:]
        assert rest.end == whole.end
        assert whole.text.endswith(rest.text)
        # exact wherever a message ended
        before = whole.text_by_then.get(cut, whole.text.removesuffix(rest.text))
        assert before + rest.text == whole.text
    return whole
