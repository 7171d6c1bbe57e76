"""Reads a recipe, with overrides from the command line; says of every wrong key what is wrong."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from lstmserve_bundle.files import decode_text
from lstmserve_training.errors import MissingInputError, RecipeError
from lstmserve_training.recipe.schema import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

Document = dict[str, Any]


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a file, with ``key=value`` overrides put in force.

    Raises RecipeError that names each wrong key, and the nearest one for a key there is not.
    """
    document = read_document(path)
    for override in overrides:
        _put(document, override)
    return check(document, str(path))


def check(document: Document, where: str) -> Recipe:
    """The recipe that a document is; raises RecipeError naming ``where``."""
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        problems = sorted({_describe(problem) for problem in error.errors(include_url=False)})
        raise RecipeError("\n       ".join(f"{where}: {problem}" for problem in problems)) from None


def read_document(path: Path) -> Document:
    """A TOML file as plain values."""
    try:
        text = decode_text(path.read_bytes())
    except FileNotFoundError:
        raise MissingInputError(
            f"{path} is missing: write a recipe with 'lstmserve-train init KIND FILE'"
        ) from None
    except OSError as error:
        raise MissingInputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise RecipeError(f"{path}: {error}") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: not TOML: {error}") from None
    except (ValueError, RecursionError):  # of the parser's own limits
        raise RecipeError(
            f"{path}: not TOML: a number is too long, or lists are too deep"
        ) from None


def _put(document: Document, override: str) -> None:
    name, has_value, text = override.partition("=")
    parts = name.strip().split(".")
    if not has_value or not all(parts):
        raise RecipeError(f"{override!r}: an override is KEY=VALUE, such as training.epochs=3")
    place: Any = document
    for part in parts[:-1]:
        place = _go_into(place, part, name)
    if isinstance(place, list):
        raise RecipeError(f"{name}: name a key of one of them, such as {name.strip()}.0.name")
    place[parts[-1]] = _parse(text)


def _go_into(place: Any, part: str, name: str) -> Any:  # noqa: ANN401 - of TOML
    if isinstance(place, list):
        if part.isdecimal() and int(part) < len(place):
            return place[int(part)]
        raise RecipeError(f"{name}: {part!r} is not one of the numbers 0 to {len(place) - 1}")
    found = place.setdefault(part, {})
    if not isinstance(found, dict | list):
        raise RecipeError(f"{name}: {part!r} is a value, and holds no keys")
    return found


def _parse(text: str) -> Any:  # noqa: ANN401 - of TOML
    """A value as TOML spells it; anything else is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _describe(problem: ErrorDetails) -> str:
    place = ".".join(map(str, problem["loc"])) or "recipe"
    if problem["type"] == "extra_forbidden":
        return f"{place}: unknown key{_suggest(problem['loc'])}"
    if problem["type"] == "missing":
        return f"{place}: is missing"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    given = problem["input"]
    shown = f" (found {given!r})" if isinstance(given, str | int | float) else ""
    return f"{place}: {message}{shown}"


def _suggest(place: tuple[int | str, ...]) -> str:
    """The nearest key: of the same section, or else of any."""
    wrong, known = str(place[-1]), list(known_keys())
    section = ".".join(part for part in map(str, place[:-1]) if not part.isdecimal())
    here = {name.rpartition(".")[2]: name for name in known if name.rpartition(".")[0] == section}
    ends = {name.rpartition(".")[2]: name for name in reversed(known)}  # the first section's counts
    if wrong in ends:  # of another section
        return f"; did you mean {ends[wrong]}?"
    for names in (here, ends):
        near = get_close_matches(wrong, names, n=1, cutoff=0.6)
        if near:
            return f"; did you mean {names[near[0]]}?"
    return f"; known here: {', '.join(here)}" if here else ""


def known_keys(model: type[BaseModel] = Recipe, prefix: str = "") -> Iterator[str]:
    """Every key there is, sections' keys with their section's name before them."""
    for name, field in model.model_fields.items():
        yield prefix + name
        inner = section_of(field.annotation)
        if inner is not None:
            yield from known_keys(inner, f"{prefix}{name}.")


def section_of(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - a type's spelling
    """The section that a key holds, or a list of it, or nothing."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (section_of(part) for part in getattr(annotation, "__args__", ()))
    return next((found for found in inner if found is not None), None)
