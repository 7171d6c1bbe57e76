"""Rows of a stock model that are decoded together; they join and leave between steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch

from benchmarks.compare.servers.stock import make_stock_model, sample_inverse_cdf, zero_state


class StockRows:
    """The state of the rows, in one tensor each."""

    def __init__(self) -> None:
        self._model = make_stock_model()
        self._tokens = torch.zeros(0, 1, dtype=torch.long)
        self._temperatures = torch.zeros(0, 1)
        self._h, self._c = zero_state(0), zero_state(0)

    def join(self, prompts: Sequence[Sequence[int]], temperatures: Sequence[float]) -> None:
        """Read these prompts, those of one length in one call, and add them at the end."""
        h, c = zero_state(len(prompts)), zero_state(len(prompts))
        by_length: defaultdict[int, list[int]] = defaultdict(list)
        for number, prompt in enumerate(prompts):
            by_length[len(prompt)].append(number)
        for length, numbers in by_length.items():
            if length > 1:
                read = torch.tensor([prompts[number][:-1] for number in numbers])
                _, h[:, numbers], c[:, numbers] = self._model(read, h[:, numbers], c[:, numbers])
        last = torch.tensor([prompt[-1:] for prompt in prompts])
        self._tokens = torch.cat([self._tokens, last])
        self._temperatures = torch.cat([self._temperatures, torch.tensor(temperatures)[:, None]])
        self._h, self._c = torch.cat([self._h, h], dim=1), torch.cat([self._c, c], dim=1)

    def keep(self, numbers: Sequence[int]) -> None:
        """Keep these rows, in this order."""
        kept = torch.tensor(numbers, dtype=torch.long)
        self._tokens, self._temperatures = self._tokens[kept], self._temperatures[kept]
        self._h, self._c = self._h.index_select(1, kept), self._c.index_select(1, kept)

    def step(self) -> list[int]:
        """One token for every row."""
        logits, self._h, self._c = self._model(self._tokens, self._h, self._c)
        self._tokens = sample_inverse_cdf(logits, self._temperatures)
        token_ids: list[int] = self._tokens.flatten().tolist()
        return token_ids
