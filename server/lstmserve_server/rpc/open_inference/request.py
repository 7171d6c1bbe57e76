"""From a request of the protocol to our own, and how its reply is to look."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lstmserve.open_inference import inference_service_pb2 as wire
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.rpc.open_inference.parameters import (
    PARAMETERS,
    TEXT,
    Settings,
    check_count,
    in_input,
    in_object,
    in_output,
    in_parameter,
    list_names,
)
from lstmserve_server.rpc.open_inference.signature import (
    EXCLUDE_INPUT,
    LOGPROBS,
    RETURNED,
    SAMPLING,
    STREAM,
    read_inputs,
    read_outputs,
)
from lstmserve_server.rpc.open_inference.values import (
    MAX_UINT32,
    Value,
    read_object,
    to_flag,
    to_whole,
)
from lstmserve_server.rpc.validation import FieldChecks, Request

TIMEOUT = "timeout"  # in microseconds; 0 for none
EMPTY_FINAL = "triton_enable_empty_final_response"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, checked as far as that needs no model."""

    id: str
    request: Request
    places: Mapping[str, str]  # where the request's fields were taken from
    outputs: tuple[str, ...]
    is_raw: bool  # outputs go out as inputs came
    has_empty_final: bool
    timeout_seconds: float


def read_request(request: wire.ModelInferRequest, *, is_stream: bool) -> Asked:
    """Convert a request. Raises InvalidRequestError naming everything that is wrong.

    ``Asked.request`` is a GenerateRequest when the reply is wanted in pieces, which only
    requests of a stream may have.
    """
    return _RequestReader(request, is_stream=is_stream).read()


class _RequestReader:
    """Reads one request."""

    def __init__(self, request: wire.ModelInferRequest, *, is_stream: bool) -> None:
        self._checks = FieldChecks()
        self._request = request
        self._is_stream = is_stream
        self._settings = Settings(self._checks)
        self._inputs = read_inputs(self._checks, request)
        self._options: dict[str, Any] = {}

    def read(self) -> Asked:
        self._add_parameters()
        self._add_inputs()
        outputs = self._find_outputs()
        is_streamed = self._read_stream()
        self._settings.check_constraints()
        self._checks.finish()
        timeout_micros = self._options.get(TIMEOUT, 0)
        return Asked(
            self._request.id,
            self._to_request(pb.GenerateRequest if is_streamed else pb.GenerateReplyRequest),
            {**self._settings.places},
            outputs,
            is_raw=bool(self._request.raw_input_contents),
            has_empty_final=self._options.get(EMPTY_FINAL, False),
            timeout_seconds=timeout_micros / 1e6 if timeout_micros else math.inf,
        )

    def _to_request(self, kind: type[Request]) -> Request:
        request = kind(
            model=self._request.model_name,
            model_version=self._request.model_version,
            prompt=str(self._inputs[TEXT]),
        )
        self._settings.write(request)
        return request

    def _add_parameters(self) -> None:
        options = {TIMEOUT: to_whole(MAX_UINT32)}
        if self._is_stream:
            options[EMPTY_FINAL] = to_flag
        if not check_count(self._checks, "parameters", len(self._request.parameters)):
            return
        for name, parameter in self._request.parameters.items():
            value = _to_value(parameter)
            if name not in options:
                self._set(name, in_parameter(name), value, [*PARAMETERS, *options])
                continue
            try:
                self._options[name] = options[name](value)
            except ValueError as error:
                self._checks.refuse(in_parameter(name), str(error))

    def _add_inputs(self) -> None:
        for name, value in self._inputs.items():
            if name in PARAMETERS:
                self._settings.add(name, in_input(name), value)
        if SAMPLING in self._inputs:
            self._add_object(str(self._inputs[SAMPLING]))
        if not self._inputs.get(EXCLUDE_INPUT, True):
            self._checks.refuse(
                in_input(EXCLUDE_INPUT), "must be true: a reply does not repeat the prompt"
            )

    def _add_object(self, text: str) -> None:
        try:
            found = read_object(text)
        except ValueError as error:
            self._checks.refuse(in_input(SAMPLING), str(error))
            return
        if not check_count(self._checks, in_input(SAMPLING), len(found)):
            return
        for name, value in found.items():
            self._set(name, in_object(name), value, [*PARAMETERS])

    def _set(self, name: str, place: str, value: Value, served: list[str]) -> None:
        if name in PARAMETERS:
            self._settings.add(name, place, value)
        else:
            self._checks.refuse(place, f"is not served; served are: {list_names(served)}")

    def _find_outputs(self) -> tuple[str, ...]:
        wanted = {name: in_output(name) for name in read_outputs(self._checks, self._request)}
        for name, output in RETURNED.items():
            if self._inputs.get(name):
                wanted.setdefault(output, in_input(name))
        if LOGPROBS in self._settings:
            wanted.setdefault(LOGPROBS, in_output(LOGPROBS))
        elif LOGPROBS in wanted:
            self._checks.refuse(wanted[LOGPROBS], "needs the parameter logprobs")
        return tuple(wanted)

    def _read_stream(self) -> bool:
        is_streamed = bool(self._inputs.get(STREAM))
        if is_streamed and not self._is_stream:
            self._checks.refuse(
                in_input(STREAM),
                "must be false: for a reply in pieces, call ModelStreamInfer",
            )
        return is_streamed


def _to_value(parameter: wire.InferParameter) -> Value:
    kind = parameter.WhichOneof("parameter_choice")
    value: Value = None if kind is None else getattr(parameter, kind)
    return value
