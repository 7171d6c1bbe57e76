"""The network in floats: sums of n-grams' rows, brought to one length, and what reads them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmserve_bundle.classifier import split_turns
from lstmserve_bundle.classifier_file import NUM_BLOCKS
from lstmserve_bundle.ngrams import hash_phrases, hash_word, split_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lstmserve_bundle.template import Turn
    from lstmserve_training.recipe.classifier import ClassifierSection

ROW_DEVIATION = 0.1

_hash_word = lru_cache(1 << 18)(hash_word)


def hash_blocks(turns: Sequence[Turn]) -> list[list[int]]:
    """The n-grams of a question, of what was said before it, and of the agent's last turn."""
    return [_hash_text(text) for text in split_turns(turns)]


def _hash_text(text: str) -> list[int]:
    words = split_words(text)
    return [*(value for word in words for value in _hash_word(word)), *hash_phrases(words)]


def index_blocks(blocks: Sequence[Sequence[int]], index: Mapping[int, int]) -> list[Tensor]:
    """The rows of the n-grams that are known."""
    return [
        torch.tensor([index[h] for h in block if h in index], dtype=torch.long) for block in blocks
    ]


class Network(nn.Module):
    """What ``lstmserve_bundle.classifier`` computes in whole numbers."""

    def __init__(self, section: ClassifierSection, num_ngrams: int, num_outputs: int) -> None:
        super().__init__()
        self.width, self._dropout = section.width, section.dropout
        self._ngram_dropout = section.ngram_dropout
        inputs = NUM_BLOCKS * section.width
        self.rows = nn.EmbeddingBag(num_ngrams, section.width, mode="sum")
        nn.init.normal_(self.rows.weight, std=ROW_DEVIATION)
        self.evidence = nn.Parameter(torch.zeros(()))  # its logarithm
        self.hidden = nn.Linear(inputs, section.hidden) if section.hidden else None
        self.output = nn.Linear(section.hidden + inputs, num_outputs)

    def forward(self, batch: Sequence[Sequence[Tensor]]) -> Tensor:
        """Scores [rows, outputs] of questions, each a row index tensor per block."""
        blocks = [self._read([blocks[n] for blocks in batch]) for n in range(NUM_BLOCKS)]
        values = functional.dropout(torch.cat(blocks, 1), self._dropout, self.training)
        if self.hidden is None:
            return self._score(values)
        hidden = functional.dropout(
            functional.relu(self.hidden(values)), self._dropout, self.training
        )
        return self._score(torch.cat([hidden, values], 1))

    def _score(self, values: Tensor) -> Tensor:
        found: Tensor = self.output(values)
        return found

    def _read(self, texts: Sequence[Tensor]) -> Tensor:
        """One block's vectors [rows, width], of length sqrt(width) at most."""
        if self.training and self._ngram_dropout:
            texts = [rows[torch.rand(len(rows)) >= self._ngram_dropout] for rows in texts]
        lengths = torch.tensor([0, *(len(rows) for rows in texts[:-1])])
        sums: Tensor = self.rows(torch.cat(list(texts)), lengths.cumsum(0))
        length = ((sums * sums).sum(1, keepdim=True) + (2 * self.evidence).exp()).sqrt()
        found: Tensor = sums / length * self.width**0.5
        return found
