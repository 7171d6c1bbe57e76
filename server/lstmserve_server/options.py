"""All options of the server, as the objects in ``config`` declare them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from lstmserve_server.config import Address, ServerConfig

ENV_PREFIX = "LSTMSERVE_"
GENERAL = "General"  # the section of what belongs to no part


@dataclass(frozen=True, slots=True)
class Option:
    """One option, as it is declared with its field."""

    name: str  # in the configuration file
    path: tuple[str, ...]  # of its field in ServerConfig
    section: str
    kind: Any  # its type
    default: Any  # None: there is none
    metadata: Mapping[str, Any]

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"{ENV_PREFIX}{self.name.upper()}"

    @property
    def help(self) -> str:
        """What it is for."""
        return str(self.metadata["description"])

    @property
    def is_switch(self) -> bool:
        """Whether the flag alone says all."""
        return self.kind is bool

    @property
    def choices(self) -> tuple[str, ...]:
        """All values that there are; none: too many to name."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    @property
    def allowed(self) -> str:
        """Its values, to be read after "must be"."""
        if self.choices:
            return " or ".join(", ".join(self.choices).rsplit(", ", 1))
        if self.kind in (int, float):
            return self._allowed_numbers
        if "pattern" in self.metadata:
            return f"text that matches {self.metadata['pattern'].strip('^$')}"
        names = {bool: "true or false", Address: "HOST:PORT", str: "text"}
        return names.get(self.kind, "a path")

    @property
    def _allowed_numbers(self) -> str:
        low, high = self.metadata["ge"], self.metadata.get("le")
        kind = "a whole number" if self.kind is int else "a number"
        return f"{kind} from {low:,}" + (f" to {high:,}" if high is not None else "")


def _find_options(part: type, path: tuple[str, ...], section: str) -> Iterator[Option]:
    """Yield the options of a part, then those of the parts in it."""
    hints = get_type_hints(part, include_extras=True)
    inner: list[tuple[Field[Any], Any]] = []
    for field in fields(part):
        kind = _without_none(hints[field.name])
        if "is_option" in field.metadata:
            default = None if field.default is MISSING else field.default
            name = field.metadata["name"] or field.name
            yield Option(name, (*path, field.name), section, kind, default, field.metadata)
        elif is_dataclass(kind):
            inner.append((field, kind))
    for field, kind in inner:
        yield from _find_options(kind, (*path, field.name), field.metadata["title"])


def _without_none(hint: Any) -> Any:  # noqa: ANN401 - any type
    """The type of what may be left out, or whose text is read by another function."""
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    if type(None) in get_args(hint) or get_origin(hint) is Annotated:
        return _without_none(kinds[0])
    return hint


FILE_OPTION = Option(
    "config", (), GENERAL, Path, None, {"description": "TOML file with any of these options."}
)
OPTIONS = {
    option.name: option for option in (FILE_OPTION, *_find_options(ServerConfig, (), GENERAL))
}
