"""Collects what a request sets by name, wherever it does: as a parameter, a tensor or in JSON."""

from __future__ import annotations

from typing import Any

from lstmserve_server.rpc.fields import FieldChecks
from lstmserve_server.rpc.open_inference.inputs import TEXT
from lstmserve_server.rpc.open_inference.parameters import PARAMETERS
from lstmserve_server.rpc.open_inference.places import in_input, in_parameter
from lstmserve_server.rpc.open_inference.values import Value
from lstmserve_server.rpc.validation import Request

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
