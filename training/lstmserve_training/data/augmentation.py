"""Prompts as other people might have typed them, with a reply each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lstmserve_training.data.examples import USER, Example, Turn
from lstmserve_training.data.pools import ReplyPools, give_reply

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from lstmserve_training.data.rewriting import Rewrites
    from lstmserve_training.data.synonyms import Synonyms
    from lstmserve_training.recipe.sections import Augmentation

PAIR = 2  # turns of a question with its answer
MIN_WORDS_TO_LEAVE_ONE_OUT = 5
MIN_LETTERS_TO_MISTYPE = 4
MISTYPED_WORDS = 0.12  # of a prompt that has any


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
        if len(example.turns) <= PAIR and _chance(rng, self._config.earlier_exchange):
            earlier = give_reply(rng.choice(others), self._pools, rng)
            # read back as the server would: without its label
            before = (replace(turn, label="") for turn in earlier.turns)
            example = replace(example, turns=(*before, *example.turns))
        # the reply comes last: it is also to what was said before
        return self._roughen(give_reply(example, self._pools, rng), rng)

    def _roughen(self, example: Example, rng: random.Random) -> Example:
        """What users say as others might have typed it; the last of it in other words, too."""
        asked = max(at for at, turn in enumerate(example.turns) if turn.role == USER)

        def vary(at: int, turn: Turn) -> Turn:
            if turn.role != USER:
                return turn
            text = self._reword(turn.text, example.label, rng) if at == asked else turn.text
            return replace(turn, text=roughen(text, self._config, rng))

        turns = tuple(vary(at, turn) for at, turn in enumerate(example.turns))
        return example if turns == example.turns else replace(example, turns=turns)

    def _reword(self, text: str, label: str, rng: random.Random) -> str:
        """The prompt in other words, before anything happens to their letters."""
        if self._rewrites is not None and _chance(rng, self._config.rewritten):
            text = self._rewrites.draw(text, rng)
        if self._synonyms is not None and _chance(rng, self._config.synonyms):
            text = self._synonyms.replace(text, label, rng)
        return text


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
