"""The rules of a regulated quatrain of five-character lines, one by one, and not as patterns.

A character that may be level or oblique counts as what breaks the fewest rules. In a rhyme its
level reading counts.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.verse.rhyme_books import LEVEL, OBLIQUE, Reading

POEM = re.compile("(.{5}),(.{5})。(.{5}),(.{5})。".replace(",", "\N{FULLWIDTH COMMA}"))
SHAPE = "four lines of five characters"
UNKNOWN = "a character that is in no book"
ALTERNATION = "second and fourth tone differ"
THIRD = "third and fifth tone differ"
THREE_LEVEL = "no three level tones at a line's end"
LONE_LEVEL = "no lone level tone"
ENDS = "lines two and four end level, and line three oblique"
OPPOSITION = "second tones differ within a couplet"
ADHESION = "second tones of lines two and three agree"
RHYME = "one rhyme"
RULES = (
    *(SHAPE, UNKNOWN, ALTERNATION, THIRD, THREE_LEVEL, LONE_LEVEL),
    *(ENDS, OPPOSITION, ADHESION, RHYME),
)


@dataclass(frozen=True)
class Pattern:
    """Which of the four patterns: the first line's second tone, and whether that line rhymes."""

    second: str
    rhymes: bool


@dataclass(frozen=True)
class _Line:
    """A line as one way of reading makes it."""

    second: str
    end: str
    broken: frozenset[str]


def lines_of(poem: str) -> tuple[str, ...] | None:
    """Return the four lines; None where there is something else."""
    match = POEM.fullmatch(poem)
    return None if match is None else match.groups()


def broken_rules(
    poem: str, readings: Mapping[str, Reading], pattern: Pattern | None = None
) -> frozenset[str]:
    """Return the rules that a poem breaks, read as well as it can be; ``pattern`` is to be kept."""
    lines = lines_of(poem)
    if lines is None:
        return frozenset({SHAPE})
    if not readings.keys() >= set("".join(lines)):
        return frozenset({UNKNOWN})
    ways = itertools.product(*(set(_read(line, readings)) for line in lines))
    chosen = [way for way in ways if pattern in (None, _pattern_of(way))]
    rhymes = [readings[line[-1]].rhymes for line in lines]
    return min((_broken(way, rhymes) for way in chosen), key=len, default=frozenset({ENDS}))


def patterns_of(poem: str, readings: Mapping[str, Reading]) -> list[Pattern]:
    """Return the patterns that a poem keeps."""
    every = (Pattern(second, rhymes) for second in (LEVEL, OBLIQUE) for rhymes in (True, False))
    return [pattern for pattern in every if not broken_rules(poem, readings, pattern)]


def _pattern_of(way: Sequence[_Line]) -> Pattern:
    return Pattern(way[0].second, way[0].end == LEVEL)


def _read(line: str, readings: Mapping[str, Reading]) -> Iterator[_Line]:
    for tones in itertools.product(*(readings[character].tones for character in line)):
        yield _Line(tones[1], tones[4], frozenset(_broken_in_line(tones)))


def _broken_in_line(tones: Sequence[str]) -> Iterator[str]:
    if tones[1] == tones[3]:
        yield ALTERNATION
    if tones[2] == tones[4]:
        yield THIRD
    if all(tone == LEVEL for tone in tones[2:]):
        yield THREE_LEVEL
    if tones[1] == tones[4] == LEVEL and tones[0] == tones[2] == OBLIQUE:
        yield LONE_LEVEL


def _broken(way: Sequence[_Line], rhymes: Sequence[set[str]]) -> frozenset[str]:
    broken = set().union(*(line.broken for line in way))
    if [line.end for line in way[1:]] != [LEVEL, OBLIQUE, LEVEL]:
        broken.add(ENDS)
    first, second, third, fourth = (line.second for line in way)
    if first == second or third == fourth:
        broken.add(OPPOSITION)
    if second != third:
        broken.add(ADHESION)
    level = [rhyme for rhyme, line in zip(rhymes, way, strict=True) if line.end == LEVEL]
    if level and not set.intersection(*level):
        broken.add(RHYME)
    return frozenset(broken)
