"""Replies from pools, for prompts that have a label and no reply of their own."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lstmserve_training.data.examples import AGENT, USER, Example
from lstmserve_training.errors import DataError

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from lstmserve_training.recipe.sections import Source


@dataclass(frozen=True)
class Pool:
    """The replies of one source, by label, and for which turns they are."""

    source: Source
    replies: dict[str, list[str]]

    def fits(self, example: Example) -> bool:
        """Whether one of these may answer the last turn of an example."""
        source = self.source
        if example.label not in self.replies:
            return False
        said = [turn.text for turn in example.turns if turn.role == USER]
        if source.place != "any" and (source.place == "later") != (len(said) > 1):
            return False
        everything = "\n".join(said)
        if source.when and not re.search(source.when, everything):
            return False
        return not (source.unless and re.search(source.unless, everything))


class ReplyPools:
    """All pools of a recipe."""

    def __init__(self) -> None:
        self._pools: list[Pool] = []

    def add(self, source: Source, examples: Sequence[Example]) -> None:
        """A source of replies with their labels; equal ones count once."""
        by_label: dict[str, dict[str, None]] = {}
        for example in examples:
            by_label.setdefault(example.label, {})[example.turns[-1].text] = None
        self._pools.append(Pool(source, {label: list(found) for label, found in by_label.items()}))

    def draw(self, example: Example, rng: random.Random) -> str:
        """A reply for an example that ``check`` has seen."""
        fitting = [pool for pool in self._pools if pool.fits(example)]
        pool = rng.choices(fitting, [pool.source.weight for pool in fitting])[0]
        return rng.choice(pool.replies[example.label])

    def check(self, examples: Sequence[Example]) -> None:
        """Raise DataError for a prompt that has no reply and no pool to take one from."""
        for example in examples:
            if needs_reply(example) and not any(pool.fits(example) for pool in self._pools):
                raise DataError(
                    f"{example.place}: no reply, and no source of use 'reply-pool' has one for the "
                    f"label {example.label!r}"
                )


def needs_reply(example: Example) -> bool:
    """Whether a pool is to give its reply."""
    return example.turns[-1].role == AGENT and not example.turns[-1].text


def give_reply(example: Example, pools: ReplyPools, rng: random.Random) -> Example:
    """The example, with a reply from the pools where it has none."""
    if not needs_reply(example):
        return example
    *asked, reply = example.turns
    return replace(example, turns=(*asked, replace(reply, text=pools.draw(example, rng))))
