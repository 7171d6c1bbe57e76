"""The reference of a recipe's keys, as Markdown, from their declarations."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from lstmserve_training.recipe.reading import section_of
from lstmserve_training.recipe.schema import Recipe
from lstmserve_training.recipe.sections import Cleaning
from lstmserve_training.recipe.toml import write_value

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

HEADER = """\
<!-- written by docs/generate.py from training/lstmserve_training/recipe: change that -->
# The keys of a recipe

What a recipe is for, and how to have one written: [Training](training.md). A key that is not here
is an error that names the nearest one. Keys without a default must be given. `lstmserve-train run
RECIPE --print-config` prints all that are in force, and `KEY=VALUE` behind the recipe's name
overrides one: `training.epochs=3`, `sources.0.license=MIT`. Paths start from the recipe's folder.
"""
COLUMNS = 118  # an item's further lines are indented by two
TYPES = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false"}
BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"), ("multiple_of", "a multiple of"))


def write_reference() -> str:
    """The whole page."""
    parts = [HEADER, "\n## The recipe itself\n\n", *_rows(Recipe)]
    for name, field in Recipe.model_fields.items():
        section = section_of(field.annotation)
        if section is not None:
            parts += _write_section(name, section, is_list=name == "sources")
    return "".join(parts)


def _write_section(name: str, section: type[BaseModel], *, is_list: bool) -> Iterator[str]:
    brackets = f"[[{name}]]" if is_list else f"[{name}]"
    yield f"\n## `{brackets}`\n{_summary(section)}\n\n"
    yield from _rows(section)
    for inner, field in section.model_fields.items():
        found = section_of(field.annotation)
        if found is not None and found is not Cleaning:  # it has a section of its own
            yield from _write_inner(f"{name}.{inner}", found)


def _write_inner(name: str, section: type[BaseModel]) -> Iterator[str]:
    yield f"\n### `{name}`\n{_summary(section)}\n\n"
    yield from _rows(section)
    for inner, field in section.model_fields.items():
        found = section_of(field.annotation)
        if found is not None and found is not Cleaning:
            yield from _write_inner(f"{name}.{inner}", found)


def _rows(section: type[BaseModel]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        if section is Recipe and section_of(field.annotation) is not None:
            continue
        facts = "; ".join(filter(None, (_describe_type(field), _describe_default(field))))
        line = f"- `{name}`: {field.description}. *{facts}*"
        yield (
            "\n  ".join(wrap(line, COLUMNS, break_on_hyphens=False, break_long_words=False)) + "\n"
        )


def _describe_type(field: FieldInfo) -> str:
    bounds = {
        name: getattr(part, name)
        for part in _metadata(field)
        for name, _ in BOUNDS
        if getattr(part, name, None) is not None
    }
    said = ", ".join(f"{sign} {bounds[name]}" for name, sign in BOUNDS if name in bounds)
    return " ".join(filter(None, (_name_of(field.annotation), said)))


def _metadata(field: FieldInfo) -> list[Any]:
    """Bounds, also those that an annotated type brings along."""
    found = list(field.metadata)
    for part in found:
        found += getattr(part, "metadata", [])
    return found


def _name_of(annotation: Any) -> str:  # noqa: ANN401 - a type's spelling
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    inner = section_of(annotation)
    if inner is not None:
        return "a list of sections" if get_origin(annotation) is list else "a section"
    if get_origin(annotation) is list:
        return f"a list of {_name_of(get_args(annotation)[0])}"
    options = [part for part in get_args(annotation) if part is not type(None)]
    if options:
        return _name_of(options[0])
    return TYPES.get(getattr(annotation, "__name__", ""), "text")


def _describe_default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "must be given"
    if field.default is None or isinstance(field.default, BaseModel):
        return ""
    return f"default `{write_value(field.default)}`"


def _summary(section: type[BaseModel]) -> str:
    return (section.__doc__ or "").strip().splitlines()[0]
