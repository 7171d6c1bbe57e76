"""Texts with slots, such as ``I ordered {item}``, filled from lists of a file."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from lstmserve_bundle.files import decode_text, parse_json
from lstmserve_training.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from lstmserve_training.data.examples import Example

Slots = dict[str, list[str]]
SLOT = re.compile(r"(?<!\{)\{(\w+)\}(?!\})")  # two braces are a placeholder of a reply


def read_slots(path: Path) -> Slots:
    """Lists of texts by name; raises DataError."""
    try:
        found = parse_json(decode_text(path.read_bytes()))
    except OSError as error:
        raise DataError(f"slots: {path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise DataError(f"slots: {path}: {error}") from None
    is_good = isinstance(found, dict) and all(
        isinstance(values, list) and values and all(isinstance(value, str) for value in values)
        for values in found.values()
    )
    if not is_good:
        raise DataError(f"{path}: must be an object of lists of texts, none of them empty")
    return dict(found)


def fill_slots(
    examples: Iterable[Example], slots: Slots, fillings: int, seed: int
) -> Iterator[Example]:
    """Each example as often as asked for; a slot has one value in all turns of an example."""
    for number, example in enumerate(examples):
        rng = random.Random(f"{seed}:{number}")
        has_slots = any(SLOT.search(turn.text) for turn in example.turns)
        for _ in range(fillings if has_slots else 1):
            yield _fill(example, slots, rng)


def _fill(example: Example, slots: Slots, rng: random.Random) -> Example:
    """A value may have slots itself, which are filled as well."""
    values: dict[str, str] = {}

    def value_of(slot: re.Match[str], outer: tuple[str, ...] = ()) -> str:
        name = slot[1]
        if name not in slots:
            raise DataError(f"{example.place}: no slot is called {name!r}")
        if name in outer:
            raise DataError(f"the slot {name!r} holds itself")
        if name not in values:
            drawn = rng.choice(slots[name])
            values[name] = SLOT.sub(lambda inner: value_of(inner, (*outer, name)), drawn)
        return values[name]

    turns = tuple(replace(turn, text=SLOT.sub(value_of, turn.text)) for turn in example.turns)
    return replace(example, turns=turns)
