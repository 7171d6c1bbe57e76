"""The tensors of a model: what a request sends, and what it may ask for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from types import MappingProxyType

from lstmserve.open_inference import inference_service_pb2 as wire
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.rpc.open_inference.parameters import (
    PARAMETERS,
    TEXT,
    check_count,
    in_input,
    in_output,
    list_names,
    refuse_parameters,
)
from lstmserve_server.rpc.open_inference.tensors import Element, read_tensor
from lstmserve_server.rpc.open_inference.values import Value
from lstmserve_server.rpc.validation import FieldChecks

TEXT_OUTPUT = "text_output"
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
    classification: pb.Classification  # of the request; empty where the version has no classifier


@dataclass(frozen=True, slots=True)
class OutputKind:
    """One of them."""

    datatype: str
    read: Callable[[Piece], Sequence[Element]]


def _finish_reason(piece: Piece) -> list[Element]:
    completion = piece.completion
    word = NOT_FINISHED if completion is None else FINISH_REASONS[completion.finish_reason]
    return [word.encode()]


def _outcome(piece: Piece) -> list[Element]:
    completion = piece.completion
    if completion is None:
        return [NOT_FINISHED.encode()]
    return [to_word(pb.ReplyOutcome.Name(completion.outcome), "REPLY_OUTCOME_").encode()]


def to_word(name: str, prefix: str) -> str:
    """Return the word for a member of an enum of the wire."""
    return name.removeprefix(prefix).lower()


def _classification(piece: Piece) -> list[Element]:
    found = piece.classification
    if not found.label.name:
        return [b"null"]
    ranking = [
        {"label": label.name, "probability": label.probability}
        for label in (found.label, *found.alternatives)
    ]
    told = {"ranking": ranking, "in_scope_probability": found.in_scope_probability}
    return [json.dumps(told, ensure_ascii=False).encode()]


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
        TEXT_OUTPUT: OutputKind("BYTES", lambda piece: [piece.body.text.encode()]),
        "finish_reason": OutputKind("BYTES", _finish_reason),
        "token_ids": OutputKind("UINT32", lambda piece: list(piece.body.token_ids)),
        LOGPROBS: OutputKind("BYTES", _logprobs),
        "label": OutputKind("BYTES", lambda piece: [piece.classification.label.name.encode()]),
        "confidence": OutputKind("FP32", lambda piece: [piece.classification.label.probability]),
        "classification": OutputKind("BYTES", _classification),
        "outcome": OutputKind("BYTES", _outcome),
        "num_input_tokens": OutputKind("UINT32", lambda piece: [piece.started.prompt_tokens]),
        "num_output_tokens": OutputKind("UINT32", lambda piece: [len(piece.body.token_ids)]),
    }
)
# inputs that ask for an output, as Triton's vLLM backend has them
RETURNED: Mapping[str, str] = MappingProxyType(
    {f"return_{name}": name for name in OUTPUTS if name != TEXT_OUTPUT}
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
    return found or [TEXT_OUTPUT]


SAMPLING = "sampling_parameters"
STREAM = "stream"
EXCLUDE_INPUT = "exclude_input_in_output"

# what Triton's vLLM backend takes, by the same names; every parameter may come as a tensor, too
INPUTS: Mapping[str, str] = MappingProxyType(
    {
        TEXT: "BYTES",
        STREAM: "BOOL",
        SAMPLING: "BYTES",
        EXCLUDE_INPUT: "BOOL",
        **dict.fromkeys(RETURNED, "BOOL"),
    }
)
# of these a request may send several elements
LISTS = frozenset({"stop"})


def read_inputs(checks: FieldChecks, request: wire.ModelInferRequest) -> dict[str, Value]:
    """Return the value of each input that is right, by name."""
    found: dict[str, Value] = {}
    if not check_count(checks, "inputs", len(request.inputs)):
        return found
    for tensor, raw in zip(request.inputs, _raw_contents(checks, request), strict=False):
        place = in_input(tensor.name)
        if tensor.name in found:
            checks.refuse(place, "must be sent once")
            continue
        try:
            found[tensor.name] = _read_input(tensor, raw)
        except ValueError as error:
            checks.refuse(place, str(error))
        refuse_parameters(checks, place, tensor.parameters)
    if not any(tensor.name == TEXT for tensor in request.inputs):
        checks.refuse(in_input(TEXT), "is missing: a BYTES tensor of shape [1]")
    return found


def _raw_contents(
    checks: FieldChecks, request: wire.ModelInferRequest
) -> Sequence[bytes] | repeat[None]:
    raw = request.raw_input_contents
    if not raw:
        return repeat(None)
    if len(raw) != len(request.inputs):
        checks.refuse(
            "raw_input_contents",
            f"must have one entry for each of the {len(request.inputs)} inputs, not {len(raw)}",
        )
        return ()
    return raw


def _read_input(tensor: wire.ModelInferRequest.InferInputTensor, raw: bytes | None) -> Value:
    if tensor.name not in INPUTS and tensor.name not in PARAMETERS:
        raise ValueError(f"is not an input; inputs are: {list_names([*INPUTS, *PARAMETERS])}")
    wanted = INPUTS.get(tensor.name, tensor.datatype)
    if tensor.datatype != wanted:
        raise ValueError(f"its datatype must be {wanted}, not {tensor.datatype[:64]!r}")
    elements = read_tensor(tensor, raw)
    if tensor.name in LISTS:
        return [_to_value(element) for element in elements]
    if len(elements) != 1:
        hint = "; send every text in a request of its own" if tensor.name == TEXT else ""
        raise ValueError(f"must have one element, not {len(elements)}{hint}")
    return _to_value(elements[0])


def _to_value(element: bytes | float) -> Value:
    if not isinstance(element, bytes):
        return element
    try:
        return element.decode()
    except UnicodeDecodeError:
        raise ValueError("must be valid UTF-8 text") from None
