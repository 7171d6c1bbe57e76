"""What the parts of a request are called in errors: as the caller has written them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from lstmserve_server.errors import FieldViolation, InvalidRequestError

MAX_NAME = 64  # characters of a name that a caller has made up


def in_input(name: str) -> str:
    return f"inputs[{name[:MAX_NAME]}]"


def in_output(name: str) -> str:
    return f"outputs[{name[:MAX_NAME]}]"


def in_parameter(name: str) -> str:
    return f"parameters[{name[:MAX_NAME]}]"


def in_object(name: str) -> str:
    """Within the JSON object of the input sampling_parameters."""
    return f"sampling_parameters.{name[:MAX_NAME]}"


def list_names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


@contextmanager
def in_words_of_caller(places: Mapping[str, str]) -> Iterator[None]:
    """Violations of our own fields, as those of the places that they were taken from."""
    try:
        yield
    except InvalidRequestError as error:
        raise InvalidRequestError([_rename(item, places) for item in error.violations]) from None


def _rename(violation: FieldViolation, places: Mapping[str, str]) -> FieldViolation:
    field, bracket, index = violation.field.partition("[")
    place = places.get(field, field)
    return FieldViolation(f"{place}{bracket}{index}", violation.description)
