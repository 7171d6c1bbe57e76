"""An n-gram model of tokens, smoothed by Witten and Bell: what a network has to surpass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lstmserve_training.documents import Document

MAX_BITS = 63  # of an n-gram as one number


class Ngrams:
    """Counts of all n-grams up to an order, behind the contract that measures read models by.

    An n-gram is a number: its tokens, plus one, as digits. 0 stands for what is before a document.
    """

    def __init__(self, documents: Iterable[Document], num_tokens: int, order: int) -> None:
        self._num_tokens, self._base, self._order = num_tokens, num_tokens + 1, order
        if order * np.log2(self._base) > MAX_BITS:
            raise ValueError(f"{order} tokens of {num_tokens} do not fit into {MAX_BITS} bits")
        digits, is_target = _lay_out(documents, order)
        self._grams: list[np.ndarray] = []
        self._counts: list[np.ndarray] = []
        code = np.zeros(len(digits), dtype=np.int64)
        for length in range(order):
            # the digits of the last `length + 1` tokens, the newest one last
            code = code + _shift(digits, length) * self._base**length
            grams, counts = np.unique(code[is_target], return_counts=True)
            self._grams.append(grams)
            self._counts.append(counts)

    def initial_state(self, rows: int) -> Tensor:
        """The tokens before each row's next one, the newest one last; there are none."""
        return torch.zeros(rows, max(1, self._order - 1), dtype=torch.int64)

    def step(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read one token per row -> log-probabilities [rows, tokens], state."""
        state = torch.cat([state[:, 1:], tokens[:, None] + 1], dim=1)
        return torch.from_numpy(np.log(self._probabilities(state.numpy()))).float(), state

    def _probabilities(self, state: np.ndarray) -> np.ndarray:
        """Each order's counts, and the order's below for what they leave open."""
        found = np.full((len(state), self._num_tokens), 1 / self._num_tokens)
        context = np.zeros(len(state), dtype=np.int64)
        for length in range(self._order):
            if length:
                context = context + state[:, -length] * self._base ** (length - 1)
            counts = self._counts_after(context, length)
            kinds = (counts > 0).sum(1, keepdims=True)
            total = counts.sum(1, keepdims=True) + kinds
            found = np.where(total, (counts + kinds * found) / np.maximum(total, 1), found)
        return found

    def _counts_after(self, context: np.ndarray, length: int) -> np.ndarray:
        grams = self._grams[length]
        counts = np.zeros((len(context), self._num_tokens))
        starts = np.searchsorted(grams, context * self._base)
        ends = np.searchsorted(grams, (context + 1) * self._base)
        for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
            next_digits = grams[start:end] - context[row] * self._base
            counts[row, next_digits - 1] = self._counts[length][start:end]
        return counts


def _lay_out(documents: Iterable[Document], order: int) -> tuple[np.ndarray, np.ndarray]:
    """All tokens as digits, with gaps between documents; and which of them are predicted."""
    digits: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    gap = np.zeros(order)
    for document in documents:
        digits += [gap, np.array(document.token_ids) + 1]
        weights += [gap, np.array(document.weights)]
    return np.concatenate(digits).astype(np.int64), np.concatenate(weights) > 0


def _shift(digits: np.ndarray, places: int) -> np.ndarray:
    """What stood so many places before."""
    return np.concatenate([np.zeros(places, dtype=np.int64), digits[: len(digits) - places]])
