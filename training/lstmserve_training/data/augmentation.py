"""Prompts as other people might have typed them, and replies from pools."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from lstmserve_training.data.examples import AGENT, USER, Example, Turn
from lstmserve_training.errors import DataError

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from lstmserve_training.data.rewriting import Rewrites
    from lstmserve_training.data.synonyms import Synonyms
    from lstmserve_training.recipe.sections import Augmentation

MIN_WORDS_TO_LEAVE_ONE_OUT = 5
MIN_LETTERS_TO_MISTYPE = 4
MISTYPED_WORDS = 0.12  # of a prompt that has any


class ReplyPools:
    """Replies by label, each pool with a weight."""

    def __init__(self) -> None:
        self._pools: dict[str, list[tuple[float, list[str]]]] = defaultdict(list)

    def add(self, weight: float, examples: Sequence[Example]) -> None:
        """A source of replies with their labels; equal ones count once."""
        by_label: dict[str, dict[str, None]] = defaultdict(dict)
        for example in examples:
            by_label[example.label][example.turns[-1].text] = None
        for label, replies in by_label.items():
            self._pools[label].append((weight, list(replies)))

    def draw(self, label: str, rng: random.Random) -> str:
        """A reply for a label that ``check`` has found."""
        pools = self._pools[label]
        _, replies = rng.choices(pools, [weight for weight, _ in pools])[0]
        return rng.choice(replies)

    def check(self, examples: Sequence[Example]) -> None:
        """Raise DataError for a prompt that has no reply and no pool to take one from."""
        for example in examples:
            if needs_reply(example) and example.label not in self._pools:
                raise DataError(
                    f"{example.place}: no reply, and no source of use 'reply-pool' has one for the "
                    f"label {example.label!r}"
                )


def needs_reply(example: Example) -> bool:
    """Whether a pool is to give its reply."""
    return example.turns[-1].role == AGENT and not example.turns[-1].text


class Augmenter:
    """Makes versions of question-and-answer pairs."""

    def __init__(
        self,
        config: Augmentation,
        pools: ReplyPools,
        synonyms: Synonyms | None = None,
        rewrites: Rewrites | None = None,
    ) -> None:
        """Without ``synonyms`` and ``rewrites`` there are none, whatever ``config`` says."""
        self._config = config
        self._pools = pools
        self._synonyms, self._rewrites = synonyms, rewrites

    def vary(self, examples: Sequence[Example], rng: random.Random) -> list[Example]:
        """One version of all of them."""
        return [self._vary(example, examples, rng) for example in examples]

    def _vary(self, example: Example, others: Sequence[Example], rng: random.Random) -> Example:
        turns = self._exchange(example, rng)
        if _chance(rng, self._config.earlier_exchange):
            # read back as the server would: without its label
            earlier = self._exchange(rng.choice(others), rng)
            turns = tuple(replace(turn, label="") for turn in earlier) + turns
        return replace(example, turns=turns)

    def _exchange(self, example: Example, rng: random.Random) -> tuple[Turn, ...]:
        prompt, reply = example.turns[0], example.turns[-1]
        if needs_reply(example):
            reply = replace(reply, text=self._pools.draw(example.label, rng))
        text = self._reword(prompt.text, example.label, rng)
        return Turn(USER, roughen(text, self._config, rng)), reply

    def _reword(self, text: str, label: str, rng: random.Random) -> str:
        """The prompt in other words, before anything happens to their letters."""
        if self._rewrites is not None and _chance(rng, self._config.rewritten):
            text = self._rewrites.draw(text, rng)
        if self._synonyms is not None and _chance(rng, self._config.synonyms):
            text = self._synonyms.replace(text, label, rng)
        return text


def fill(examples: Sequence[Example], pools: ReplyPools, rng: random.Random) -> list[Example]:
    """The examples as they are, with replies from the pools where they have none."""
    return [
        replace(
            example,
            turns=(
                *example.turns[:-1],
                replace(example.turns[-1], text=pools.draw(example.label, rng)),
            ),
        )
        if needs_reply(example)
        else example
        for example in examples
    ]


def roughen(text: str, config: Augmentation, rng: random.Random) -> str:
    """The text with a frame around it, other case, and a slip here and there."""
    text = _frame(text, config, rng)
    if config.recase:
        text = _recase(text, rng)
    if _chance(rng, config.typos):
        words = text.split(" ")
        text = " ".join(mistype(w, rng) if _chance(rng, MISTYPED_WORDS) else w for w in words)
    words = text.split(" ")
    if len(words) >= MIN_WORDS_TO_LEAVE_ONE_OUT and _chance(rng, config.leave_out):
        del words[rng.randrange(len(words))]
        text = " ".join(words)
    return text


def _frame(text: str, config: Augmentation, rng: random.Random) -> str:
    if config.openings and _chance(rng, 0.25):
        text = f"{rng.choice(config.openings)} {text}"
    if config.greetings and _chance(rng, 0.3):
        text = f"{rng.choice(config.greetings)}{rng.choice((',', '', '!', '.'))} {text}"
    if config.closings and _chance(rng, 0.25):
        text = f"{text.rstrip('?.! ')}{rng.choice((', ', ' ', '. ', '? '))}"
        text += rng.choice(config.closings)
    return text


def _recase(text: str, rng: random.Random) -> str:
    if _chance(rng, 0.3):
        text = text.rstrip("?.!")
    text = rng.choice((text, text, text.lower(), text.capitalize(), text[:1].upper() + text[1:]))
    return text.upper() if _chance(rng, 0.03) else text


def mistype(word: str, rng: random.Random) -> str:
    """A word with two letters swapped, or one left out or doubled; short ones as they are."""
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


def _chance(rng: random.Random, share: float) -> bool:
    """True in ``share`` of the calls; where that is 0, nothing is drawn."""
    return share > 0 and rng.random() < share
