"""The tensors that a request sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from types import MappingProxyType

from lstmserve.open_inference import inference_service_pb2 as pb
from lstmserve_server.rpc.fields import FieldChecks
from lstmserve_server.rpc.open_inference.outputs import RETURNED
from lstmserve_server.rpc.open_inference.parameters import PARAMETERS
from lstmserve_server.rpc.open_inference.places import (
    TEXT,
    check_count,
    in_input,
    list_names,
    refuse_parameters,
)
from lstmserve_server.rpc.open_inference.tensors import read_tensor
from lstmserve_server.rpc.open_inference.values import Value

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


def read_inputs(checks: FieldChecks, request: pb.ModelInferRequest) -> dict[str, Value]:
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
    checks: FieldChecks, request: pb.ModelInferRequest
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


def _read_input(tensor: pb.ModelInferRequest.InferInputTensor, raw: bytes | None) -> Value:
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
