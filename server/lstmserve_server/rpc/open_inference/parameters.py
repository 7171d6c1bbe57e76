"""What a request may set by name, and which field of our own request each of them is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.rpc.fields import FieldChecks
from lstmserve_server.rpc.open_inference.places import TEXT, in_input, in_parameter
from lstmserve_server.rpc.open_inference.values import (
    MAX_UINT32,
    MAX_UINT64,
    Value,
    one_of,
    to_biases,
    to_number,
    to_texts,
    to_whole,
)
from lstmserve_server.rpc.validation import Request

CACHE_MODES = {
    "default": pb.CACHE_MODE_UNSPECIFIED,
    "bypass": pb.CACHE_MODE_BYPASS,
    "refresh": pb.CACHE_MODE_REFRESH,
    "only_if_cached": pb.CACHE_MODE_ONLY_IF_CACHED,
}
# as words, and as Triton counts: 0 is the default, and below that 1 goes first
PRIORITIES = {
    "low": pb.PRIORITY_LOW,
    "normal": pb.PRIORITY_NORMAL,
    "high": pb.PRIORITY_HIGH,
    0: pb.PRIORITY_UNSPECIFIED,
    1: pb.PRIORITY_HIGH,
    2: pb.PRIORITY_NORMAL,
    3: pb.PRIORITY_LOW,
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of them."""

    field: str  # the path in lstmserve.v1.GenerateRequest
    read: Callable[[Value], Any]

    def set(self, request: Request, value: Any) -> None:  # noqa: ANN401 - what ``read`` gave
        *path, name = self.field.split(".")
        target: Any = getattr(request, path[0]) if path else request
        if isinstance(value, list):
            getattr(target, name).extend(value)
        elif isinstance(value, dict):
            getattr(target, name).update(value)
        else:
            setattr(target, name, value)


PARAMETERS: Mapping[str, Parameter] = MappingProxyType(
    {
        "temperature": Parameter("sampling.temperature", to_number),
        "top_k": Parameter("sampling.top_k", to_whole(MAX_UINT32)),
        "top_p": Parameter("sampling.top_p", to_number),
        "min_p": Parameter("sampling.min_p", to_number),
        "repetition_penalty": Parameter("sampling.repetition_penalty", to_number),
        "frequency_penalty": Parameter("sampling.frequency_penalty", to_number),
        "presence_penalty": Parameter("sampling.presence_penalty", to_number),
        "logit_bias": Parameter("sampling.logit_bias", to_biases),
        "seed": Parameter("sampling.seed", to_whole(MAX_UINT64)),
        "logprobs": Parameter("sampling.logprobs", to_whole(MAX_UINT32)),
        "max_tokens": Parameter("stopping.max_tokens", to_whole(MAX_UINT32)),
        "min_tokens": Parameter("stopping.min_tokens", to_whole(MAX_UINT32)),
        "stop": Parameter("stopping.stop_sequences", to_texts),
        "cache_mode": Parameter("cache_mode", one_of(CACHE_MODES)),
        "priority": Parameter("priority", one_of(PRIORITIES)),
    }
)


# where our own fields come from when a request sets none of them
DEFAULT_PLACES = {
    "model": "model_name",
    "prompt": in_input(TEXT),
    **{parameter.field: in_parameter(name) for name, parameter in PARAMETERS.items()},
}


class Settings:
    """Values that were read, and the places that they were taken from."""

    def __init__(self, checks: FieldChecks) -> None:
        self._checks = checks
        self._values: dict[str, Any] = {}
        self.places = dict(DEFAULT_PLACES)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def add(self, name: str, place: str, value: Value) -> None:
        """Read a value of one of PARAMETERS; it may come twice if both times it is the same."""
        parameter = PARAMETERS[name]
        try:
            read = parameter.read(value)
        except ValueError as error:
            self._checks.refuse(place, str(error))
            return
        if self._values.setdefault(name, read) != read:
            self._checks.refuse(place, f"must be what {self.places[parameter.field]} is")
            return
        self.places[parameter.field] = place

    def write(self, request: Request) -> None:
        for name, value in self._values.items():
            PARAMETERS[name].set(request, value)
