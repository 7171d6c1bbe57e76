"""What a request may set by name: which field of our own each is, and what errors call it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.errors import FieldViolation, InvalidRequestError
from lstmserve_server.rpc.open_inference.values import (
    MAX_UINT32,
    MAX_UINT64,
    Value,
    one_of,
    to_biases,
    to_choices,
    to_number,
    to_text,
    to_texts,
    to_variables,
    to_whole,
)
from lstmserve_server.rpc.validation import FieldChecks, Request

MAX_NAME = 64  # characters of a name that a caller has made up
# inputs, outputs or parameters of a request: more than there are
MAX_NAMED = 64

TEXT = "text_input"

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
        target: Any = request
        for step in path:
            target = getattr(target, step)
            target.SetInParent()  # also where a list of nothing follows
        if isinstance(value, list):
            getattr(target, name).extend(value)
        elif isinstance(value, dict):
            getattr(target, name).update(value)
        else:
            setattr(target, name, value)


# how the values of our own fields are read, by their type on the wire
READERS: Mapping[int, Callable[[Value], Any]] = {
    FieldDescriptor.TYPE_FLOAT: to_number,
    FieldDescriptor.TYPE_UINT32: to_whole(MAX_UINT32),
    FieldDescriptor.TYPE_UINT64: to_whole(MAX_UINT64),
    FieldDescriptor.TYPE_MESSAGE: to_biases,  # the only map
}
PARAMETERS: Mapping[str, Parameter] = MappingProxyType(
    {
        **{
            field.name: Parameter(f"sampling.{field.name}", READERS[field.type])
            for field in pb.SamplingParams.DESCRIPTOR.fields
        },
        "max_tokens": Parameter("stopping.max_tokens", to_whole(MAX_UINT32)),
        "min_tokens": Parameter("stopping.min_tokens", to_whole(MAX_UINT32)),
        "stop": Parameter("stopping.stop_sequences", to_texts),
        "min_confidence": Parameter("min_confidence", to_number),
        "variables": Parameter("variables", to_variables),
        "regex": Parameter("constraint.regex", to_text),
        "choices": Parameter("constraint.choices.choices", to_choices),
        "json_schema": Parameter("constraint.json_schema", to_text),
        "grammar": Parameter("constraint.grammar", to_text),
        "form": Parameter("constraint.form", to_text),
        "prompt_characters": Parameter("constraint.prompt_characters", to_whole(MAX_UINT32)),
        "cache_mode": Parameter("cache_mode", one_of(CACHE_MODES)),
        "cache_tags": Parameter("cache_tags", to_texts),
        "priority": Parameter("priority", one_of(PRIORITIES)),
    }
)


CONSTRAINTS = ("regex", "choices", "json_schema", "grammar", "form")


def in_input(name: str) -> str:
    return f"inputs[{name[:MAX_NAME]}]"


def in_output(name: str) -> str:
    return f"outputs[{name[:MAX_NAME]}]"


def in_parameter(name: str) -> str:
    return f"parameters[{name[:MAX_NAME]}]"


def in_object(name: str) -> str:
    """Return a place within the JSON object of the input sampling_parameters."""
    return f"sampling_parameters.{name[:MAX_NAME]}"


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
            self._checks.refuse(place, f"must be the same as {self.places[parameter.field]}")
            return
        self.places[parameter.field] = place

    def check_constraints(self) -> None:
        """Refuse a second form: a reply keeps one."""
        given = [name for name in CONSTRAINTS if name in self._values]
        for name in given[1:]:
            place = self.places[PARAMETERS[name].field]
            self._checks.refuse(place, f"cannot go with {given[0]}: a reply keeps one form")

    def write(self, request: Request) -> None:
        for name, value in self._values.items():
            PARAMETERS[name].set(request, value)


def check_count(checks: FieldChecks, field: str, count: int) -> bool:
    """Return whether so many may be looked at one by one."""
    if count > MAX_NAMED:
        checks.refuse(field, f"must have at most {MAX_NAMED} entries, not {count}")
    return count <= MAX_NAMED


def refuse_parameters(checks: FieldChecks, place: str, names: Iterable[str]) -> None:
    """Refuse the parameters of one tensor: there are none that are served."""
    for name in islice(names, MAX_NAMED):
        checks.refuse(f"{place}.parameters[{name[:MAX_NAME]}]", "is not served")


def list_names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


@contextmanager
def in_words_of_caller(places: Mapping[str, str]) -> Iterator[None]:
    """Return violations of our own fields as those of the places that they came from."""
    try:
        yield
    except InvalidRequestError as error:
        raise InvalidRequestError([_rename(item, places) for item in error.violations]) from None


def _rename(violation: FieldViolation, places: Mapping[str, str]) -> FieldViolation:
    field, bracket, index = violation.field.partition("[")
    place = places.get(field, field)
    return FieldViolation(f"{place}{bracket}{index}", violation.description)
