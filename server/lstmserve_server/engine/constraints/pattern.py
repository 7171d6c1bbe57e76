"""What is looked at in a regular expression before the library that builds automata reads it."""

from __future__ import annotations

import re

from lstmserve_server.engine.constraints.messages import RefusedFormError

# under "the whole reply must match" these say nothing where they stand first or last
BEGIN = re.compile(r"((?:\(\?[a-zA-Z]+\))?)\^")
SENTINEL = 0  # a byte, and a character, that no reply of a form has
# an escape, or a character that means something
PART = re.compile(r"\\.|[\[\]()^$]", re.DOTALL)
ANCHORS = {"^": "^", "$": "$", r"\A": r"\A", r"\z": r"\z", r"\Z": r"\Z"}


def prepare(pattern: str) -> str:
    """Return a pattern of the same texts with the sentinel behind each.

    What begins texts of a pattern and is a text of it itself is then not the end of one, so the
    library has no reason to prefer the shorter ones. Raises RefusedFormError.
    """
    pattern = _without_anchors(pattern)
    _check(pattern)
    return rf"(?:{pattern})\x{SENTINEL:02}"


def _without_anchors(pattern: str) -> str:
    pattern = BEGIN.sub(r"\1", pattern, count=1) if BEGIN.match(pattern) else pattern
    body = pattern.removesuffix("$")
    num_backslashes = len(body) - len(body.rstrip("\\"))
    return body if num_backslashes % 2 == 0 else pattern


def _check(pattern: str) -> None:
    """Raise RefusedFormError for anchors within, and where a bracket closes too much."""
    depth, end_of_class = 0, 0
    for found in PART.finditer(pattern):
        if found.start() < end_of_class:
            continue
        part = found[0]
        if part == "[":
            end_of_class = _end_of_class(pattern, found.end())
        elif part in ANCHORS:
            raise RefusedFormError(
                f"has {part} within; the whole reply must match anyway, so leave it out"
            )
        depth += (part == "(") - (part == ")")
        if depth < 0:
            raise RefusedFormError("closes a bracket that it has not opened")


def _end_of_class(pattern: str, begin: int) -> int:
    """Return where a class of characters ends, which begins behind its bracket."""
    place = begin + (pattern[begin : begin + 1] == "^")
    place += pattern[place : place + 1] == "]"  # one that stands first is a character
    while place < len(pattern) and pattern[place] != "]":
        if pattern[place] == "[":
            place = _end_of_class(pattern, place + 1)
        else:
            place += 1 + (pattern[place] == "\\")
    return place + 1
