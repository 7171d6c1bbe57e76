r"""Prepares a regular expression for the library that builds automata.

The library builds an automaton that finds a match anywhere, too. Where a match may begin inside
another one, that one may have a state for every subset of places: of ``x[a-z]{0,31}`` two thousand
million, though matched as a whole it has 33. And it prefers the match that the pattern names first,
so ``a|ab`` is never ``ab`` to it. A character that stands before and behind every text, and within
none, takes both away: nothing begins inside a match, and none ends before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lstmserve_server.engine.constraints.messages import RefusedFormError

SENTINEL = 0  # a byte, and a character, that no reply of a form has
NOT_SENTINEL = rf"[^\x{SENTINEL:02}]"
# under "the whole reply must match" these say nothing where they stand first or last
BEGIN = re.compile(r"((?:\(\?[a-zA-Z]+\))?)\^")
FLAGS = re.compile(r"\(\?([a-zA-Z-]+)([:)])")
SERVED_FLAGS = "imsU"
PROPERTY = re.compile(r"\\[pP](?:\{[^}]*\}|.)", re.DOTALL)
ANCHORS = ("^", "$", r"\A", r"\z", r"\Z")
# each with what it begins with, behind which no library over automata reads on
UNREADABLE = {
    "look-around": re.compile(r"\(\?<?[=!]"),
    "a back-reference": re.compile(r"\\[1-9k]|\(\?P="),
    "an atomic group": re.compile(r"\(\?>"),
    "a comment": re.compile(r"\(\?#"),
}
MAX_NESTED = 248  # groups; the library reads no more
LARGE_CLASSES = (r"\D", r"\S", r"\W")  # which have the sentinel


def prepare(pattern: str) -> str:
    """Return a pattern of the same texts between two sentinels; raises RefusedFormError."""
    if any("\ud800" <= letter <= "\udfff" for letter in pattern):
        raise RefusedFormError("has half of a character (a lone surrogate)")
    body = _without_anchors(pattern)
    is_begun = len(body) < len(pattern.removesuffix("$"))  # by an anchor, which counts as one
    within = "".join(_Reading(body, 1 + is_begun).parts())
    return rf"\x{SENTINEL:02}(?:{within})\x{SENTINEL:02}"


def _without_anchors(pattern: str) -> str:
    pattern = BEGIN.sub(r"\1", pattern, count=1) if BEGIN.match(pattern) else pattern
    body = pattern.removesuffix("$")
    num_backslashes = len(body) - len(body.rstrip("\\"))
    return body if num_backslashes % 2 == 0 else pattern


class _Reading:
    """One way through a pattern: what could stand for the sentinel no longer does."""

    def __init__(self, pattern: str, first_number: int) -> None:
        self._pattern = pattern
        self._place = 0
        self._first_number = first_number  # of its first character, for people
        self._opened: list[int] = []  # where the groups that are open begin
        self._has_newline = [False]  # whether a dot stands for a new line, in each open group

    def parts(self) -> Iterator[str]:
        """Yield the pattern piece by piece."""
        while self._place < len(self._pattern):
            self._check()
            yield self._next()
        if self._opened:
            raise RefusedFormError(f"closes no bracket that it opens {self._at(self._opened[-1])}")

    def _check(self) -> None:
        for name, beginning in UNREADABLE.items():
            if beginning.match(self._pattern, self._place):
                raise RefusedFormError(f"has {name} {self._at(self._place)}, which is not served")

    def _at(self, place: int) -> str:
        return f"at character {self._first_number + place}"

    def _next(self) -> str:
        letter = self._pattern[self._place]
        if letter == "\\":
            return self._escape()
        if letter == "[":
            return self._class()
        if letter == "(":
            return self._open()
        if letter == ")":
            self._close()
        elif letter == ".":
            self._place += 1
            return NOT_SENTINEL if self._has_newline[-1] else rf"[^\n\x{SENTINEL:02}]"
        _check_anchor(letter)
        return self._take(self._place + 1)

    def _take(self, end: int) -> str:
        part, self._place = self._pattern[self._place : end], end
        return part

    def _class(self) -> str:
        end = _end_of_class(self._pattern, self._place + 1)
        if end > len(self._pattern):
            raise RefusedFormError(f"closes no class that it opens {self._at(self._place)}")
        return _without_sentinel(self._take(end))

    def _escape(self) -> str:
        if self._place + 1 == len(self._pattern):
            raise RefusedFormError("ends with a backslash, behind which a character is missing")
        found = PROPERTY.match(self._pattern, self._place)
        if found is not None:
            return _without_sentinel(self._take(found.end()))
        escape = self._take(self._place + 2)
        _check_anchor(escape)
        return _without_sentinel(escape) if escape in LARGE_CLASSES else escape

    def _open(self) -> str:
        found = FLAGS.match(self._pattern, self._place)
        has_newline = self._has_newline[-1]
        if found is None or found[2] == ":":
            self._opened.append(self._place)
        if len(self._opened) > MAX_NESTED:
            raise RefusedFormError(f"nests more than {MAX_NESTED} brackets; nest fewer of them")
        if found is None:
            self._has_newline.append(has_newline)
            return self._take(self._place + 1)
        flags, end = found.groups()
        has_newline = _read_flags(flags, has_newline=has_newline)
        if end == ")":  # they hold for the rest of the group
            self._has_newline[-1] = has_newline
        else:
            self._has_newline.append(has_newline)
        return self._take(found.end())

    def _close(self) -> None:
        if not self._opened:
            where = self._at(self._place)
            raise RefusedFormError(f"closes a bracket {where} that it has not opened")
        self._opened.pop()
        self._has_newline.pop()


def _read_flags(flags: str, *, has_newline: bool) -> bool:
    """Return whether a dot stands for a new line from there on; raises RefusedFormError."""
    on, _, off = flags.partition("-")
    strangers = [flag for flag in on + off if flag not in SERVED_FLAGS]
    if strangers:
        served = ", ".join(SERVED_FLAGS)
        raise RefusedFormError(
            f"has the flag {strangers[0]}, which is not served; served are {served}"
        )
    return ("s" in on) or (has_newline and "s" not in off)


def _check_anchor(part: str) -> None:
    if part in ANCHORS:
        raise RefusedFormError(
            f"has {part} within; the whole reply must match anyway, so leave it out"
        )


def _without_sentinel(characters: str) -> str:
    return f"[{characters}&&{NOT_SENTINEL}]"


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
