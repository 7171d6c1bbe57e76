"""How a step's time grows with its text: by what the processor did, whoever else uses it."""

from __future__ import annotations

import time
from collections.abc import Callable

SHORT, LONG = 8_000, 32_000
# four times the text: some 4 where time grows with it, and 16 where it grows with its square
MOST = 8.0
NUM_RUNS = 3

# what patterns stumble over: runs of what may begin something, and then does not
HOSTILE = (
    "1",
    "a",
    " ",
    ".",
    "@",
    "+(",
    "a@",
    "a@b ",
    "a@b+",
    "word.",
    "www.",
    "www.! ",
    "https://",
    "1 2 ",
    "12345  6   ",
    "[email]",
    "<|user|>",
    "{{",
    "{{website ",
    "samsung ",
    "the amazon ",
    "=1",
    "1a.-",
    "a\u0301\u0323",
    "\u6211",
    "\U0001f44b",
    "\n",
    '"',
    "\\",
    "[",
)


def make_text(piece: str, length: int) -> str:
    """A text of about so many characters, with an end that fits nothing before it."""
    return piece * (length // len(piece)) + " @ {{ ]"


def measure_growth(step: Callable[[str], object], piece: str) -> float:
    """How many times as long four times the text takes; the least of several runs."""
    short, long = (make_text(piece, length) for length in (SHORT, LONG))
    pairs = [(_measure(step, short), _measure(step, long)) for _ in range(NUM_RUNS)]
    # what takes no time at all has no growth
    return min(pair[1] for pair in pairs) / max(min(pair[0] for pair in pairs), 50e-6)


def _measure(step: Callable[[str], object], text: str) -> float:
    began_at = time.process_time()
    step(text)
    return time.process_time() - began_at
