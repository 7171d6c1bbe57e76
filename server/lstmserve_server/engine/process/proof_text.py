"""Which tokens a proof reads, and how many rows at a time: settled by the version's sizes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from lstmserve_bundle import Bundle
from lstmserve_bundle.fingerprint import shuffled_vocabulary

# Libraries compute by other code from 2 rows on, from 16 on, and for what is left of blocks of 4, 8
# and 16 rows; elementwise work is shared between threads above 32,768 values.
ROW_COUNTS = (*range(1, 10), 12, 15, 16, 17, 24, 32, 33, 63, 64)
FEW_ROW_COUNTS = (1, 2, 3, 16, 17, 63, 64)  # of a model with many parameters, or large states
MANY_PARAMETERS = 1 << 24
MANY_VALUES = 1 << 17  # a proof remembers the states of all sequences after each token
MANY_ROWS = max(ROW_COUNTS)  # sequences that there are; more rows read them again
MORE_THAN_WINDOW = 64
LONG_TOKENS = 128
SEED = 2


@dataclass(frozen=True, slots=True)
class ProofText:
    """The sequences, the first one the longest.

    Of the first token all rows are read, of the last one the smallest number of rows.
    """

    row_counts: tuple[int, ...]  # by position, descending
    sequences: tuple[tuple[int, ...], ...]
    long: tuple[int, ...]

    def tokens_of(self, row: int) -> list[int]:
        """All that a row reads; the row has its sequence's number, or that and a multiple."""
        length = sum(count > row for count in self.row_counts)
        return list(self.sequences[row % MANY_ROWS][:length])

    def column(self, position: int, count: int) -> Tensor:
        """The tokens at one position of the first rows, int64 [count]."""
        return torch.tensor([self.sequences[n % MANY_ROWS][position] for n in range(count)])

    def own(self, rows: Tensor) -> Tensor:
        """The sequences that these rows read."""
        return rows.remainder(MANY_ROWS)


def make_proof_text(bundle: Bundle, max_rows: int, window: int = 0) -> ProofText:
    """That of one version, for a server that runs up to so many rows.

    ``window`` is how many tokens a model with attention sees: its long prompt has more.
    """
    sizes, limits = bundle.manifest.sizes, bundle.manifest.limits
    is_large = sizes.parameters > MANY_PARAMETERS or sizes.state > MANY_VALUES
    some = FEW_ROW_COUNTS if is_large else ROW_COUNTS
    more = {1 << power for power in range(7, max_rows.bit_length())} | {max_rows}
    counts = tuple(sorted({*some, *more}, reverse=True))
    lengths = [sum(count > row for count in counts) for row in range(MANY_ROWS)]
    order = shuffled_vocabulary(sizes.vocabulary, SEED)
    starts = accumulate(lengths, initial=0)
    sequences = [
        tuple(order[(start + n) % len(order)] for n in range(length))
        for start, length in zip(starts, lengths, strict=False)
    ]
    # one token over and over drives a state to its bounds
    for number, tokens in enumerate(([bundle.template.end_id], order[:1], order[:2]), start=1):
        sequences[number] = tuple(tokens * lengths[number])[: lengths[number]]
    num_long = min(LONG_TOKENS, limits.max_prompt_tokens)
    if window:  # a prompt and its reply may pass it, whatever the limit of a prompt
        num_long = max(num_long, window + MORE_THAN_WINDOW)
    half = num_long // 2
    long = [order[-1]] * (num_long - half) + [order[n % len(order)] for n in range(half)]
    # where turns begin, which some models look at
    turns = bundle.template.render_prompt("")
    for number, place in enumerate(range(half // 3, num_long, half // 3)):
        long[place] = turns[number % len(turns)]
    return ProofText(counts, tuple(sequences), tuple(long))
