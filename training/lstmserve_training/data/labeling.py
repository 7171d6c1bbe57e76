"""The labels of examples in our words: by a table, or by how a conversation begins."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from lstmserve_training.data.examples import AGENT, USER, Example, Turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lstmserve_training.data.examples import RowCounts
    from lstmserve_training.recipe.sections import LabelRule, Source


def label_examples(
    examples: Iterable[Example], source: Source, counts: RowCounts
) -> Iterator[Example]:
    """Examples with our labels; those that have none are dropped and counted."""
    if source.label_rules:
        yield from _by_rules(examples, source, counts)
    elif source.labels or source.other_label:
        yield from _by_table(examples, source, counts)
    else:
        yield from examples


def _by_table(examples: Iterable[Example], source: Source, counts: RowCounts) -> Iterator[Example]:
    for example in examples:
        label = source.labels.get(example.label, source.other_label)
        if label:
            *asked, reply = example.turns
            yield replace(example, turns=(*asked, replace(reply, label=label)))
        else:
            counts.drop("its label is not in 'labels'", example.place)


def _by_rules(examples: Iterable[Example], source: Source, counts: RowCounts) -> Iterator[Example]:
    """Each conversation as questions: after its first turn, its second one, and so on."""
    rules = [(re.compile(rule.pattern, re.IGNORECASE), rule) for rule in source.label_rules]
    for example in examples:
        labels = _matching(rules, example.turns[0].text)
        if len(labels) == 1:
            yield from _questions(example, labels.pop(), source.contexts)
        else:
            reason = "two label_rules disagree" if labels else "no label_rule matches"
            counts.drop(reason, example.place)


def _matching(rules: Sequence[tuple[re.Pattern[str], LabelRule]], text: str) -> set[str]:
    return {rule.label for pattern, rule in rules if pattern.search(text)}


def _questions(example: Example, label: str, contexts: int) -> Iterator[Example]:
    asked = [at for at, turn in enumerate(example.turns) if turn.role == USER]
    for at in asked[:contexts]:
        turns = (*example.turns[: at + 1], Turn(AGENT, "", label))
        yield replace(example, turns=turns)
