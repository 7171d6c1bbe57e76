"""What a customer wants: the label of a conversation's last question, with probabilities.

A pure function, bit for bit: rows of whole numbers for the n-grams of the texts are added up, a
small network of whole numbers reads their sums, and probabilities are made of its scores by
operations that round the same everywhere.

The question, the customer's earlier turns and the agent's last one share their rows, and the
network reads the three sums side by side. So what was learned of a word in a question serves
a follow-up ("It is 4821") as well.
"""

from __future__ import annotations

from math import isqrt
from operator import mul
from typing import TYPE_CHECKING

from lstmserve_bundle.calibration import Calibration, Classification
from lstmserve_bundle.classifier_file import NUM_BLOCKS, ClassifierFile, read_classifier_file
from lstmserve_bundle.ngram_table import NgramTable
from lstmserve_bundle.packing import Unpacker, pack

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence
    from pathlib import Path

    from lstmserve_bundle.template import Turn

AGENT = "agent"
EARLIER_TURNS = 4  # of the customer, that are read
CONTEXT_CHARACTERS = 1024  # of each of them, and of the agent's last turn
INPUT_BITS = 11  # a block's vector has this length, 2^11, at most
WEIGHT_BITS = 9  # a weight of 1 is 2^9
LANE_BITS = 32  # whoever writes the weights sees to it that no sum needs more
SCORE_UNIT = 1.0 / (1 << (INPUT_BITS + WEIGHT_BITS))


class Classifier:
    """Names what is asked."""

    def __init__(self, file: ClassifierFile) -> None:
        header = file.header
        self.labels: tuple[str, ...] = tuple(header.labels)
        self.out_of_scope: frozenset[str] = frozenset(header.out_of_scope)
        self._calibration = Calibration(header)
        self._evidence = header.evidence**2
        self._table = NgramTable(file.hashes, file.rows, header.width)
        self._nothing = [0] * header.width  # the vector of no text
        num_inputs = NUM_BLOCKS * header.width
        self._hidden = _Layer(file.hidden, file.hidden_bias, num_inputs)
        self._output = _Layer(file.output, file.output_bias, header.hidden + num_inputs)

    @classmethod
    def read(cls, path: Path) -> Classifier:
        """Raises ClassifierError for a file that is none."""
        return cls(read_classifier_file(path))

    def classify(self, turns: Sequence[Turn]) -> Classification:
        """Name what the customer's last turn is about, given the turns before it."""
        return self._calibration.tell(*self.score(turns))

    def score(self, turns: Sequence[Turn]) -> tuple[list[float], float]:
        """A score in nats for each label, and one for being in scope where that is told.

        Also the share of the question's words that training has seen.
        """
        question, *context = split_turns(turns)
        sums, num_words, num_known = self._table.sum_text(question)
        inputs = self._to_length(sums)
        for text in context:
            inputs += self._to_length(self._table.sum_text(text)[0]) if text else self._nothing
        return self._apply(inputs), num_known / num_words if num_words else 0.0

    def _to_length(self, sums: list[int]) -> list[int]:
        """A vector of length 2^11, shorter where little speaks for anything."""
        length = isqrt(sum(map(mul, sums, sums)) + self._evidence)
        return [(value << INPUT_BITS) // length for value in sums]

    def _apply(self, inputs: list[int]) -> list[float]:
        hidden = [max(value, 0) >> WEIGHT_BITS for value in self._hidden.apply(inputs)]
        return [value * SCORE_UNIT for value in self._output.apply(hidden + inputs)]


def split_turns(turns: Sequence[Turn]) -> tuple[str, str, str]:
    """The question, what the customer said before, and what the agent said between them."""
    asked = [n for n, turn in enumerate(turns) if turn.role != AGENT]
    if not asked:
        return "", "", ""
    last = asked[-1]
    earlier = [turns[n].text[-CONTEXT_CHARACTERS:] for n in asked[-1 - EARLIER_TURNS : -1]]
    said = [turn.text for turn in turns[:last] if turn.role == AGENT]
    return turns[last].text, "\n".join(earlier), said[-1][-CONTEXT_CHARACTERS:] if said else ""


class _Layer:
    """Whole weights [inputs, outputs], and what is added to each output."""

    def __init__(self, weights: array[int], biases: array[int], num_inputs: int) -> None:
        count = len(biases)
        rows = [weights[n * count : n * count + count] for n in range(num_inputs)]
        self._rows = [pack(row, LANE_BITS) for row in rows]
        self._bias = pack(biases, LANE_BITS)
        self._unpacker = Unpacker(count, LANE_BITS)

    def apply(self, inputs: list[int]) -> list[int]:
        terms = [value * row for value, row in zip(inputs, self._rows, strict=True) if value]
        return self._unpacker.unpack(sum(terms, self._bias))
