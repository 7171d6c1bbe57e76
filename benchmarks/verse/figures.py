"""What is told of poems: which rules they break, what they repeat, and what they copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from benchmarks.load.findings import Finding, Target
from benchmarks.verse.rhyme_books import LEVEL, OBLIQUE, Reading
from benchmarks.verse.rules import RULES, Pattern, broken_rules, lines_of, patterns_of

PATTERNS = {
    "wujue-1": Pattern(OBLIQUE, rhymes=False),
    "wujue-2": Pattern(OBLIQUE, rhymes=True),
    "wujue-3": Pattern(LEVEL, rhymes=False),
    "wujue-4": Pattern(LEVEL, rhymes=True),
}
MAX_COPIED_PERCENT = 1.0
Poems = Mapping[str, Sequence[str]]  # by form


def count_broken(poems: Poems, readings: Mapping[str, Reading]) -> list[Finding]:
    """How many poems keep their form, and how many break each rule."""
    broken = [
        broken_rules(poem, readings, PATTERNS[form]) for form in poems for poem in poems[form]
    ]
    kept = percent(sum(not rules for rules in broken), len(broken))
    return [
        Finding("poems", len(broken)),
        Finding("poems that keep all rules", kept, "%", Target(100, is_least=True)),
        *(Finding(f"break: {rule}", sum(rule in rules for rules in broken)) for rule in RULES),
    ]


def count_kept(poems: Sequence[str], readings: Mapping[str, Reading]) -> Finding:
    """How many poems that people wrote keep any of the patterns."""
    kept = sum(bool(patterns_of(poem, readings)) for poem in poems)
    return Finding("training poems that keep a pattern", percent(kept, len(poems)), "%")


def count_copied(poems: Sequence[str], trained: AbstractSet[str]) -> list[Finding]:
    """How many lines stand in the training text, character by character."""
    lines = [line for poem in poems for line in lines_of(poem) or ()]
    copied = percent(sum(line in trained for line in lines), len(lines))
    return [
        Finding("lines", len(lines)),
        Finding("different lines", percent(len(set(lines)), len(lines)), "%"),
        Finding("lines copied from the training text", copied, "%", Target(MAX_COPIED_PERCENT)),
    ]


def count_repeated(name: str, poems: Sequence[str], most: float | None = None) -> list[Finding]:
    """How often a character stands twice in a line, and a rhyming one in two rhymes."""
    lines = [line for poem in poems for line in lines_of(poem) or ()]
    twice = percent(sum(len(set(line)) < len(line) for line in lines), len(lines))
    rhymes = [found[1][-1] == found[3][-1] for poem in poems if (found := lines_of(poem))]
    target = None if most is None else Target(most)
    return [
        Finding(f"{name}: lines with a character twice", twice, "%", target),
        Finding(f"{name}: poems that rhyme with one word", percent(sum(rhymes), len(rhymes)), "%"),
    ]


def percent(part: int, whole: int) -> float:
    """A share of a hundred; of nothing it is 0."""
    return 100 * part / max(whole, 1)
