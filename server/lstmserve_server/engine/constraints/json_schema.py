"""Brings a JSON schema to where the library keeps all of it, or refuses it by name.

Left alone, the library ignores keywords that it does not know. It lets a name that the schema
leaves open come twice, and be written with escapes that hide which name it is. And it lets dates
be that no calendar has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from lstmserve_server.engine.constraints.formats import FORMATS
from lstmserve_server.engine.constraints.keywords import (
    DEFINITIONS,
    OF_NAMED_SCHEMAS,
    OF_SCHEMAS,
    check_keyword,
)
from lstmserve_server.engine.constraints.messages import RefusedFormError

POINTER = "#/"  # a reference to a place within the document
MAX_KEYS = 64  # of a reference
REFERRING = ("$ref", "$id", "id")
BRANCHING = frozenset({"anyOf", "oneOf", "$ref"})
OF_OBJECTS = frozenset({"properties", "patternProperties", "additionalProperties", "required"})
Path = tuple[str, ...]  # of keys, from the whole document
Object = Mapping[str, object]
# of open names; what a pattern allows has one spelling, but for control characters
PLAIN_NAME = r"^[^\x00-\x1f\x7f]*$"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def prepare_schema(document: Object) -> dict[str, object]:
    """Return a schema of the same values, or of fewer; raises RefusedFormError."""
    preparing = _Preparing(document)
    prepared = preparing.schema(document, ())
    if preparing.has_patterns and preparing.is_composed:
        raise RefusedFormError(
            "has patternProperties, and objects that are put together of several schemas (allOf, "
            "or anyOf, oneOf or $ref beside properties), which is not served together"
        )
    return prepared


class _Preparing:
    """One way through a document."""

    def __init__(self, document: Object) -> None:
        references = list(_references({**document, "$id": None, "id": None}))
        self._targets = {_to_path(each) for each in references if POINTER in each}
        self._on_the_way = {path[:n] for path in self._targets for n in range(1, len(path) + 1)}
        self.has_patterns = self.is_composed = False  # of what was seen
        # by names of its own it may refer to any definition
        self._has_names = any(not each.startswith(POINTER) and each != "#" for each in references)

    def schema(self, schema: Object, path: Path) -> dict[str, object]:
        found = {key: self._under(key, value, (*path, key)) for key, value in schema.items()}
        if _may_be(schema, "object"):
            _check_num_properties(schema)
            self.has_patterns |= bool(schema.get("patternProperties"))
            self.is_composed |= _is_composed(schema)
            found = _with_plain_names(found)
        return _with_formats(found) if _may_be(schema, "string") else found

    def _under(self, key: str, value: object, path: Path) -> object:
        """Return what stands under a keyword, or what references lead to by way of it."""
        if key in OF_SCHEMAS:
            return self._each(value, path)
        if key in OF_NAMED_SCHEMAS and isinstance(value, dict):
            return {name: self._each(each, (*path, name)) for name, each in value.items()}
        if key in DEFINITIONS and isinstance(value, dict):
            return {name: self._defined(each, (*path, name)) for name, each in value.items()}
        if path in self._on_the_way:
            return self._held(value, path)
        check_keyword(key)
        return value

    def _each(self, value: object, path: Path) -> object:
        if isinstance(value, list):
            return [self._each(each, (*path, str(n))) for n, each in enumerate(value)]
        return self.schema(value, path) if isinstance(value, dict) else value

    def _defined(self, value: object, path: Path) -> object:
        """Return a definition; what nothing refers to is left as it is."""
        if self._has_names and path not in self._on_the_way:
            return self._each(value, path)
        return self._held(value, path)

    def _held(self, value: object, path: Path) -> object:
        if path in self._targets:
            return self._each(value, path)
        if path not in self._on_the_way or not isinstance(value, dict):
            return value
        return {key: self._held(each, (*path, key)) for key, each in value.items()}


def _references(value: object) -> Iterator[str]:
    """Yield the references of a document, and the names that it has within for them."""
    if isinstance(value, list):
        for each in value:
            yield from _references(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from (each,) if key in REFERRING and isinstance(each, str) else _references(each)


def _to_path(reference: str) -> Path:
    keys = unquote(reference.partition(POINTER)[2]).split("/")
    if len(keys) > MAX_KEYS:
        raise RefusedFormError("nests too deep")
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in keys)


def _may_be(schema: Object, kind: str) -> bool:
    kinds = schema.get("type", kind)
    return kind in kinds if isinstance(kinds, list) else kinds == kind


def _is_composed(schema: Object) -> bool:
    """Return whether an object must keep several schemas at once."""
    keys = schema.keys()
    return "allOf" in keys or bool(keys & BRANCHING and keys & OF_OBJECTS)


def _required(schema: Object) -> set[str]:
    names = schema.get("required")
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()


def _check_num_properties(schema: Object) -> None:
    """Raise RefusedFormError where a name that comes twice could count as two."""
    if schema.get("additionalProperties") is False and not schema.get("patternProperties"):
        return  # no name is open, and declared ones come once
    least, num_required = schema.get("minProperties"), len(_required(schema))
    # a required name comes once, and a single further one is another one
    if isinstance(least, int) and least > num_required + 1:
        raise RefusedFormError(
            f"has minProperties {least} and requires {num_required} names; at most one more than "
            "those is served, because an open name may come twice"
        )


def _with_plain_names(schema: dict[str, object]) -> dict[str, object]:
    r"""Return one in which no name may hide behind an escape, as "\u0061" is "a"."""
    if schema.get("additionalProperties") is False:
        return schema
    if schema.get("patternProperties"):
        return _without_further_names(schema)
    names = _required(schema) if schema.get("minProperties") else set()
    names |= _declared(schema).keys()
    if not names:
        return schema
    plain = {
        "properties": dict.fromkeys(sorted(filter(CONTROL.search, names)), True),
        "patternProperties": {PLAIN_NAME: True},
        "additionalProperties": False,
    }
    return _with_all_of(schema, {key: schema[key] for key in ("type",) if key in schema} | plain)


def _without_further_names(schema: dict[str, object]) -> dict[str, object]:
    """Close an object that has patterns of names: what they do not match, no pattern can tell."""
    rest = schema.get("additionalProperties", True)
    declared = dict.fromkeys(sorted(_required(schema)), rest) | _declared(schema)
    return {**schema, "properties": declared, "additionalProperties": False}


def _declared(schema: Object) -> dict[str, object]:
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}


def _with_all_of(schema: dict[str, object], further: object) -> dict[str, object]:
    before = schema.get("allOf", [])
    return {**schema, "allOf": [*before, further]} if isinstance(before, list) else schema


def _with_formats(schema: dict[str, object]) -> dict[str, object]:
    """Return one whose formats are patterns, where the library's own are too wide."""
    name = schema.get("format")
    if not isinstance(name, str) or name not in FORMATS:
        return schema
    pattern = {"pattern": f"^(?:{FORMATS[name]})$"}
    rest = {key: value for key, value in schema.items() if key != "format"}
    return _with_all_of(rest, pattern) if "pattern" in schema else {**rest, **pattern}
