"""What the parts of a request are called in errors: as the caller has written them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice

from lstmserve_server.errors import FieldViolation, InvalidRequestError
from lstmserve_server.rpc.fields import FieldChecks

MAX_NAME = 64  # characters of a name that a caller has made up
# inputs, outputs or parameters of a request: more than there are
MAX_NAMED = 64

TEXT = "text_input"


def in_input(name: str) -> str:
    return f"inputs[{name[:MAX_NAME]}]"


def in_output(name: str) -> str:
    return f"outputs[{name[:MAX_NAME]}]"


def in_parameter(name: str) -> str:
    return f"parameters[{name[:MAX_NAME]}]"


def in_object(name: str) -> str:
    """Return a place within the JSON object of the input sampling_parameters."""
    return f"sampling_parameters.{name[:MAX_NAME]}"


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
