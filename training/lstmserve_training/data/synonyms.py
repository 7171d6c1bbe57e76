"""Words that are used alike, found in the recipe's own text.

A word's embedding is what stands before and behind it: positive pointwise mutual information with
its neighbors, reduced by a singular value decomposition (Levy and Goldberg, 2014). Each place is
counted by itself, so words are alike that could stand for one another, not those that go together.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from lstmserve_training.data.examples import Example

WORD = re.compile(r"[^\W\d_]+")
MIN_COUNT = 5  # what is seen less often has no company to speak of
MAX_WORDS = 2000  # four times the square of it is held in memory
MIN_LETTERS = 3
WINDOW = 2
DIMENSIONS = 64
MAX_SYNONYMS = 5
CHANGED_WORDS = 0.25  # of a prompt that has any


class Synonyms:
    """For each word others, most alike first, and the labels of prompts that a word is in.

    Words with like neighbors may mean the opposite ("cancel", "return"). So under a label only a
    word is taken that people use under that label.
    """

    def __init__(self, alike: Mapping[str, Sequence[str]], labels: Mapping[str, set[str]]) -> None:
        self._alike, self._labels = alike, labels

    @classmethod
    def learn(cls, examples: Sequence[Example], similarity: float) -> Synonyms:
        """Of all prompts; two words are alike from this cosine on."""
        texts = [_words(example.turns[0].text) for example in examples]
        labels: dict[str, set[str]] = defaultdict(set)
        for example, words in zip(examples, texts, strict=True):
            for word in words:
                labels[word].add(example.label)
        return cls(find_alike(texts, similarity), labels)

    def replace(self, text: str, label: str, rng: random.Random) -> str:
        """The text with some of its words replaced by others that are used alike."""

        def change(found: re.Match[str]) -> str:
            word = found.group()
            others = self.of(word.lower(), label)
            if not others or rng.random() >= CHANGED_WORDS:
                return word
            return _in_the_case_of(word, rng.choice(others))

        return WORD.sub(change, text)

    def of(self, word: str, label: str) -> list[str]:
        """What may stand for a word in a prompt with this label."""
        return [other for other in self._alike.get(word, ()) if label in self._labels[other]]

    def most_frequent(self, count: int) -> dict[str, list[str]]:
        """The words that have any, most frequent first: for a person to look at."""
        words = list(self._alike)[:count]
        return {word: list(self._alike[word]) for word in words}


def find_alike(texts: Sequence[Sequence[str]], similarity: float) -> dict[str, list[str]]:
    """For each word the most alike others whose cosine is at least ``similarity``."""
    counts = Counter(word for words in texts for word in words if len(word) >= MIN_LETTERS)
    known = [word for word, count in counts.most_common(MAX_WORDS) if count >= MIN_COUNT]
    if len(known) < 2:  # noqa: PLR2004 - a pair
        return {}
    vectors = embed(texts, known)
    cosines = vectors @ vectors.T
    cosines.fill_diagonal_(-1.0)
    best = cosines.topk(min(MAX_SYNONYMS, len(known)), dim=1)
    found = {
        word: [known[at] for at, value in zip(places, values, strict=True) if value >= similarity]
        for word, places, values in zip(
            known, best.indices.tolist(), best.values.tolist(), strict=True
        )
    }
    return {word: others for word, others in found.items() if others}


def embed(texts: Sequence[Sequence[str]], known: Sequence[str]) -> Tensor:
    """Unit vectors of words, float32 [known, at most DIMENSIONS]."""
    numbers = {word: number for number, word in enumerate(known)}
    places = [
        (numbers[word], side * len(known) + numbers[other])
        for words in texts
        for at, word in enumerate(words)
        if word in numbers
        for side, other in enumerate(_neighbors(words, at))
        if other in numbers
    ]
    near = torch.zeros(len(known), 2 * WINDOW * len(known))
    if places:
        rows, columns = torch.tensor(places).unbind(1)
        near.index_put_((rows, columns), torch.ones(len(places)), accumulate=True)
    # so much more often together than two words that have nothing to do with each other
    expected = near.sum(1, keepdim=True) * near.sum(0, keepdim=True) / near.sum().clamp(min=1)
    information = torch.log(near / expected.clamp(min=1e-9)).clamp(min=0)
    # the left singular vectors, by way of a square matrix, which is smaller
    squares, u = torch.linalg.eigh(information @ information.T)
    vectors = u[:, -DIMENSIONS:] * squares[-DIMENSIONS:].clamp(min=0) ** 0.25
    return torch.nn.functional.normalize(vectors, dim=1)


def _neighbors(words: Sequence[str], at: int) -> list[str]:
    """Those before and behind a word, each in its place; empty at the ends of a text."""
    near = (*range(at - WINDOW, at), *range(at + 1, at + WINDOW + 1))
    return [words[place] if 0 <= place < len(words) else "" for place in near]


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def _in_the_case_of(word: str, other: str) -> str:
    if word.isupper() and len(word) > 1:
        return other.upper()
    return other.capitalize() if word[:1].isupper() else other
