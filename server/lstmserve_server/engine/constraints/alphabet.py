"""Characters that the classes of a form do not tell apart, as one symbol each.

A class may hold thousands of characters, and stand in hundreds of places of a pattern. An automaton
over their bytes would need some 300 states for each place. Of symbols there are few.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from lstmserve_bundle.forms import REFERENCE
from lstmserve_server.engine.constraints.messages import RefusedFormError

FIRST_SYMBOL = 0x80  # two bytes of UTF-8: tables of single bytes have few states, but wide rows
MAX_SYMBOLS = 0x780
# a class, what makes a pattern of parts, or a character that stands for itself
PARTS = re.compile(
    rf"(?P<of>{REFERENCE.pattern})|(?P<operator>\(\?:|\{{[0-9,]+\}}|[()|?*+])|.", re.DOTALL
)


def to_symbols(pattern: str, classes: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return a pattern in symbols, and the symbol of each character; raises RefusedFormError.

    ``classes`` are the characters by the names that the pattern refers to.
    """
    parts = [(part.group(), part.lastgroup) for part in PARTS.finditer(pattern)]
    members = {
        part: classes[part[2:-2]] if kind == "of" else part
        for part, kind in parts
        if kind != "operator"
    }
    symbols = _join(members)
    written = {
        part: _to_class({ord(symbols[character]) for character in characters})
        for part, characters in members.items()
    }
    return "".join(written.get(part, part) for part, _ in parts), symbols


def _join(members: Mapping[str, str]) -> dict[str, str]:
    """Return the symbol of each character; those that are in the same classes have the same."""
    names_of: dict[str, list[str]] = {}
    for name in sorted(members):
        for character in set(members[name]):
            names_of.setdefault(character, []).append(name)
    kinds = sorted(set(map(tuple, names_of.values())))
    if len(kinds) > MAX_SYMBOLS:
        raise RefusedFormError(
            f"tells {len(kinds)} kinds of characters apart by its classes, and at most "
            f"{MAX_SYMBOLS} can be; use fewer classes"
        )
    symbol_of = {kind: chr(number) for number, kind in enumerate(kinds, start=FIRST_SYMBOL)}
    return {character: symbol_of[tuple(names)] for character, names in names_of.items()}


def _to_class(numbers: AbstractSet[int]) -> str:
    """Return a class of characters by their numbers, in as few ranges as there are."""
    first = [number for number in numbers if number - 1 not in numbers]
    last = [number for number in numbers if number + 1 not in numbers]
    ranges = zip(sorted(first), sorted(last), strict=True)
    return "[" + "".join(rf"\x{{{begin:x}}}-\x{{{end:x}}}" for begin, end in ranges) + "]"


def read_token(token: bytes, symbols: Mapping[str, str]) -> bytes:
    """Return a token in symbols; empty: no form of these symbols allows it."""
    try:
        return "".join(symbols[character] for character in token.decode()).encode()
    except (UnicodeDecodeError, KeyError):
        return b""
