"""Makes up written numbers and their digits: a text whose every answer stands in the question."""

from __future__ import annotations

import random
from collections.abc import Iterator

from benchmarks.families.debian import Pair

BELOW_TWENTY = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
HUNDRED, THOUSAND = 100, 1000
MAX_DIGITS = 5
NUM_NUMBERS = (2, 5)  # of a prompt, at least and at most


def draw_numbers(count: int, seed: int) -> Iterator[Pair]:
    """Yield prompts of two to five written numbers, and the same in digits."""
    generator = random.Random(seed)
    for _ in range(count):
        numbers = [_draw(generator) for _ in range(generator.randint(*NUM_NUMBERS))]
        prompt = ", ".join(map(spell, numbers))
        # digit by digit, so that none of them is a part of a longer token
        yield Pair(prompt, ", ".join(" ".join(str(number)) for number in numbers), (prompt,))


def spell(number: int) -> str:
    """Write a number below a million in English."""
    if number >= THOUSAND:
        rest = number % THOUSAND
        return f"{spell(number // THOUSAND)} thousand" + (f" {spell(rest)}" if rest else "")
    if number >= HUNDRED:
        rest = number % HUNDRED
        return f"{BELOW_TWENTY[number // HUNDRED]} hundred" + (
            f" and {spell(rest)}" if rest else ""
        )
    if number >= len(BELOW_TWENTY):
        rest = number % 10
        return TENS[number // 10 - 2] + (f"-{BELOW_TWENTY[rest]}" if rest else "")
    return BELOW_TWENTY[number]


def _draw(generator: random.Random) -> int:
    """As many short numbers as long ones."""
    digits = generator.randint(1, MAX_DIGITS)
    return generator.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)
