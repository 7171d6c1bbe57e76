"""A question as another customer might have typed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

_GREETINGS = (
    "hi",
    "hello",
    "hey",
    "hi there",
    "good morning",
    "hello team",
    "excuse me",
    "dear team",
)
_CLOSINGS = ("please", "thanks", "thank you", "asap", "can you help?", "please help", "urgent", "!")
_REASONS = (
    "i ordered something last week.",
    "i have a question.",
    "i am a customer of yours.",
    "i bought it two days ago.",
    "quick question:",
    "i need some help.",
    "so,",
    "ok so",
)
MIN_WORDS_TO_LEAVE_ONE_OUT = 5
MIN_LETTERS_TO_MISTYPE = 4


def chance(rng: random.Random, share: float) -> bool:
    """True in ``share`` of the calls."""
    return rng.random() < share


def roughen(question: str, rng: random.Random) -> str:
    """The question with a frame around it, other case, and a slip here and there."""
    text = _recase(_frame(question, rng), rng)
    words = text.split()
    if chance(rng, 0.35):
        words = [_mistype(word, rng) if chance(rng, 0.12) else word for word in words]
    if len(words) >= MIN_WORDS_TO_LEAVE_ONE_OUT and chance(rng, 0.2):
        del words[rng.randrange(len(words))]
    return " ".join(words)


def _frame(text: str, rng: random.Random) -> str:
    if chance(rng, 0.25):
        text = f"{rng.choice(_REASONS)} {text}"
    if chance(rng, 0.3):
        text = f"{rng.choice(_GREETINGS)}{rng.choice((',', '', '!', '.'))} {text}"
    if chance(rng, 0.25):
        text = f"{text.rstrip('?.! ')}{rng.choice((', ', ' ', '. ', '? '))}{rng.choice(_CLOSINGS)}"
    return text


def _recase(text: str, rng: random.Random) -> str:
    if chance(rng, 0.3):
        text = text.rstrip("?.!")
    text = rng.choice((text, text, text.lower(), text.capitalize(), text.upper()[:1] + text[1:]))
    return text.upper() if chance(rng, 0.03) else text


def _mistype(word: str, rng: random.Random) -> str:
    if len(word) < MIN_LETTERS_TO_MISTYPE or word.startswith("["):
        return word
    at = rng.randrange(len(word) - 1)
    return rng.choice(
        (
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],  # swapped
            word[:at] + word[at + 1 :],  # left out
            word[:at] + word[at] + word[at:],  # doubled
        )
    )
