"""How much of a model that exists the served one keeps: measured on text of the user's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lstmserve_training.documents import Document, Documents, collate
from lstmserve_training.speed import one_thread
from lstmserve_training.stepper import Stepper, make_stepper

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lstmserve_training.importing.network import Original
    from lstmserve_training.int8_lstm import Int8Lstm
    from lstmserve_training.stacked import StackedLstm

ROWS = 16
MAX_DOCUMENTS = 200


@torch.no_grad()
def measure_parity(
    original: Original,
    served: StackedLstm,
    module: Int8Lstm,
    documents: Documents,
    borrowed: Mapping[int, int],
) -> dict[str, float | int | str]:
    """Compare the original with the model that is made of it, in floats and as it is served.

    The original reads the tokens that were borrowed from. It knows none beyond its own: where the
    one that begins a text is new and nothing is borrowed, all of them read the text from behind
    it. Unknown words are counted, as training loops do.
    """
    totals = _Totals(borrowed)
    fp32 = make_stepper(served)
    with one_thread():
        for start in range(0, min(len(documents), MAX_DOCUMENTS), ROWS):
            for document in documents[start : min(start + ROWS, MAX_DOCUMENTS)]:
                totals.add(document, original, fp32, module)
    return totals.result()


class _Totals:
    def __init__(self, borrowed: Mapping[int, int]) -> None:
        self._borrowed = borrowed
        self._nats = {"original": 0.0, "fp32": 0.0, "int8": 0.0}
        self._agree = {"fp32": 0, "int8": 0}
        self._difference = 0.0
        self._count = 0

    def add(self, document: Document, original: Original, fp32: Stepper, int8: Stepper) -> None:
        token_ids = collate([document]).token_ids
        inputs, targets = token_ids[:, :-1], token_ids[0, 1:]
        num_own = original.embedding.num_embeddings
        # tokens of ours stand at the ends alone: the original begins behind them
        read = inputs.clone()
        read[0, 0] = self._borrowed.get(int(inputs[0, 0]), int(inputs[0, 0]))
        skipped = int(read[0, 0] >= num_own)
        targets = targets[skipped:]
        counted = targets < num_own
        if not counted.any():
            return
        inputs = inputs[:, skipped:]
        expected = original(read[:, skipped:])[0]
        steppers = {"fp32": fp32, "int8": int8}
        found = {name: _read(stepper, inputs)[:, :num_own] for name, stepper in steppers.items()}
        targets = targets[counted]
        self._count += len(targets)
        for name, logits in {"original": expected, **found}.items():
            picked = logits[counted]
            self._nats[name] += float(nn.functional.cross_entropy(picked, targets, reduction="sum"))
            if name != "original":
                agree = picked.argmax(1) == expected[counted].argmax(1)
                self._agree[name] += int(agree.sum())
        both = torch.stack([found["fp32"], expected])[:, counted].log_softmax(-1)
        self._difference = max(self._difference, float((both[0] - both[1]).abs().max()))

    def result(self) -> dict[str, float | int | str]:
        count = max(1, self._count)
        return {
            "parity_tokens": self._count,
            **{
                f"parity_perplexity_{name}": math.exp(nats / count)
                for name, nats in self._nats.items()
            },
            **{
                f"parity_greedy_agreement_{name}": found / count
                for name, found in self._agree.items()
            },
            "parity_largest_difference_fp32": self._difference,
        }


def _read(stepper: Stepper, token_ids: Tensor) -> Tensor:
    """Logits after each token, [steps, tokens], of token ids [1, steps]."""
    state = stepper.initial_state(1)
    logits = []
    for column in token_ids.unbind(1):
        found, state = stepper.step(state, column)
        logits.append(found[0].clone())
    return torch.stack(logits)


def lines(parity: dict[str, float | int | str]) -> Iterable[str]:
    """For a person."""
    yield f"parity on {parity['parity_tokens']:,} tokens of your text:"
    for name, what in (("fp32", "in floats"), ("int8", "as it is served, INT8")):
        yield (
            f"  {what}: perplexity {parity[f'parity_perplexity_{name}']:.3f} (original "
            f"{parity['parity_perplexity_original']:.3f}); the most likely token is the original's "
            f"in {parity[f'parity_greedy_agreement_{name}']:.2%}"
        )
    difference = parity["parity_largest_difference_fp32"]
    yield f"  largest difference of log-probabilities in floats: {difference:.2g}"
