"""The tensors that a request may ask for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from lstmserve.open_inference import inference_service_pb2 as wire
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.rpc.fields import FieldChecks
from lstmserve_server.rpc.open_inference.places import (
    check_count,
    in_output,
    list_names,
    refuse_parameters,
)
from lstmserve_server.rpc.open_inference.tensors import Element

TEXT = "text_output"
LOGPROBS = "logprobs"
# the words of Triton's vLLM backend
FINISH_REASONS = {
    pb.FINISH_REASON_END_OF_TEXT: "stop",
    pb.FINISH_REASON_MAX_TOKENS: "length",
    pb.FINISH_REASON_STOP_SEQUENCE: "stop",
}
NOT_FINISHED = "None"


@dataclass(frozen=True, slots=True)
class Piece:
    """What one response tells: a piece of a reply, or all of it."""

    body: pb.Chunk | pb.GenerateReplyResponse
    started: pb.Started  # of the whole reply
    completion: pb.Completion | None  # with the last piece


@dataclass(frozen=True, slots=True)
class OutputKind:
    """One of them."""

    datatype: str
    read: Callable[[Piece], Sequence[Element]]


def _finish_reason(piece: Piece) -> list[Element]:
    completion = piece.completion
    word = NOT_FINISHED if completion is None else FINISH_REASONS[completion.finish_reason]
    return [word.encode()]


def _logprobs(piece: Piece) -> list[Element]:
    return [json.dumps([_describe(entry) for entry in piece.body.logprobs]).encode()]


def _describe(entry: pb.TokenLogprobs) -> dict[str, object]:
    top = [
        {"token_id": token.token_id, "logprob": token.logprob, "text": token.text}
        for token in entry.top
    ]
    return {"logprob": entry.logprob, "top": top}


OUTPUTS: Mapping[str, OutputKind] = MappingProxyType(
    {
        TEXT: OutputKind("BYTES", lambda piece: [piece.body.text.encode()]),
        "finish_reason": OutputKind("BYTES", _finish_reason),
        "token_ids": OutputKind("UINT32", lambda piece: list(piece.body.token_ids)),
        LOGPROBS: OutputKind("BYTES", _logprobs),
        "num_input_tokens": OutputKind("UINT32", lambda piece: [piece.started.prompt_tokens]),
        "num_output_tokens": OutputKind("UINT32", lambda piece: [len(piece.body.token_ids)]),
    }
)
# inputs that ask for an output, as Triton's vLLM backend has them
RETURNED: Mapping[str, str] = MappingProxyType(
    {f"return_{name}": name for name in OUTPUTS if name != TEXT}
)


def read_outputs(checks: FieldChecks, request: wire.ModelInferRequest) -> list[str]:
    """Return the names of the outputs that are asked for; the text's when none is."""
    found: list[str] = []
    if not check_count(checks, "outputs", len(request.outputs)):
        return found
    for output in request.outputs:
        place = in_output(output.name)
        if output.name not in OUTPUTS:
            checks.refuse(place, f"is not an output; outputs are: {list_names(OUTPUTS)}")
        if output.name in found:
            checks.refuse(place, "must be named once")
        refuse_parameters(checks, place, output.parameters)
        found.append(output.name)
    return found or [TEXT]
