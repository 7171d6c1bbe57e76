"""Cuts Python files where somebody might ask for a completion."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from python_grammar import Form

HEADER = re.compile(r"\s*(async )?def .*:$")
MIN_LINES = 10  # of a file


@dataclass(frozen=True)
class Cut:
    """Text before a cursor: at a line's start, in its middle, or below a function's header."""

    kind: str
    text: str

    @property
    def form(self) -> Form:
        return "block" if self.kind == "body" else "statement"


def make_cuts(sources: Sequence[str], count: int, seed: int) -> Iterator[Cut]:
    """Cuts of all three kinds in turn, inside of blocks; longer files have more of them."""
    rng = random.Random(seed)  # noqa: S311 - which cuts are made is no secret
    files = [source.splitlines(keepends=True) for source in sources]
    files = [lines for lines in files if len(lines) > MIN_LINES]
    sizes = list(map(len, files))
    for number in range(count):
        kind, found = ("start", "middle", "body")[number % 3], None
        while found is None:
            [lines] = rng.choices(files, sizes)
            found = _cut(kind, lines, rng.randrange(1, len(lines)), rng)
        yield Cut(kind, found)


def _cut(kind: str, lines: list[str], at: int, rng: random.Random) -> str | None:
    before, line = "".join(lines[:at]), lines[at]
    if kind == "body":
        return before if HEADER.match(lines[at - 1]) else None
    indent = len(line) - len(line.lstrip())
    if not line.strip() or not indent:
        return None
    return before + line[: indent if kind == "start" else rng.randrange(indent + 1, len(line))]
