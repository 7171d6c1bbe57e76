"""Documents as token ids with a weight per target, and batches of them.

A document is one conversation or one text, read from a zero state: that is how the server reads
a prompt, so no state ever crosses from one document to the next.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import torch
from torch import Tensor

from lstmserve_training.errors import DataError

if TYPE_CHECKING:
    import random
    from pathlib import Path


@dataclass(frozen=True)
class Document:
    """``weights[i]`` is the loss weight of predicting ``token_ids[i]`` from those before it."""

    token_ids: list[int]
    weights: list[float]


@dataclass(frozen=True)
class Batch:
    """Documents side by side, padded with id 0 at weight 0."""

    token_ids: Tensor  # int64 [rows, length]
    weights: Tensor  # float32 [rows, length]


class Documents(Sequence[Document]):
    """Many documents in three tensors: eight bytes a token, however many there are."""

    def __init__(self, token_ids: Tensor, weights: Tensor, ends: Tensor) -> None:
        """Token ids int32 [n], weights float32 [n], and where each document ends, int64 [count]."""
        self._token_ids, self._weights, self._tensor = token_ids, weights, ends
        self._ends: list[int] = ends.tolist()

    @classmethod
    def pack(cls, documents: Iterable[Document]) -> Documents:
        """Of documents that come one by one."""
        token_ids, weights, ends = array("i"), array("f"), array("q")
        for document in documents:
            token_ids.extend(document.token_ids)
            weights.extend(document.weights)
            ends.append(len(token_ids))
        return cls(
            _to_tensor(token_ids, torch.int32),
            _to_tensor(weights, torch.float32),
            _to_tensor(ends, torch.int64),
        )

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, at: int) -> Document: ...
    @overload
    def __getitem__(self, at: slice) -> list[Document]: ...
    def __getitem__(self, at: int | slice) -> Document | list[Document]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        at = range(len(self))[at]
        start, end = self._start(at), self._ends[at]
        return Document(self._token_ids[start:end].tolist(), self._weights[start:end].tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Documents) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(self.num_tokens)

    @property
    def num_tokens(self) -> int:
        return self._ends[-1] if self._ends else 0

    def length(self, at: int) -> int:
        """The number of tokens of a document, without unpacking it."""
        return self._ends[at] - self._start(at)

    def tensors(self) -> dict[str, Tensor]:
        """What the constructor takes."""
        return {"token_ids": self._token_ids, "weights": self._weights, "ends": self._tensor}

    def _start(self, at: int) -> int:
        return self._ends[at - 1] if at else 0


@dataclass(frozen=True)
class Part:
    """Training documents, of which each epoch draws a share anew, and reads it so many times."""

    documents: Documents
    share: float = 1.0
    repeat: int = 1


Places = list[tuple[Documents, int]]


@dataclass(frozen=True)
class Corpus:
    """What ``prepare`` writes: training documents in parts, and those held out, by kind.

    ``common`` is read in every epoch; of ``variants`` of the same documents each epoch reads one.
    """

    common: list[Part]
    variants: list[list[Part]] = field(default_factory=list)
    held_out: Mapping[str, Documents] = field(default_factory=dict)

    def epoch(self, number: int, rng: random.Random) -> Places:
        """Where the documents of one epoch are."""
        parts = list(self.common)
        if self.variants:
            parts += self.variants[number % len(self.variants)]
        return [place for part in parts for place in _draw(part, rng)]


def _draw(part: Part, rng: random.Random) -> Places:
    numbers: Sequence[int] = range(len(part.documents))
    if part.share < 1:
        numbers = rng.sample(numbers, round(part.share * len(numbers)))
    return [(part.documents, number) for number in numbers] * part.repeat


def save_corpus(corpus: Corpus, path: Path) -> None:
    partial = path.with_suffix(".partial")
    torch.save(
        {
            "common": [_pack_part(part) for part in corpus.common],
            "variants": [[_pack_part(part) for part in parts] for parts in corpus.variants],
            "held_out": {kind: found.tensors() for kind, found in corpus.held_out.items()},
        },
        partial,
    )
    partial.replace(path)


def load_corpus(path: Path) -> Corpus:
    """Raises DataError for a file that ``prepare`` did not write."""
    try:
        packed = torch.load(path, weights_only=True)
        return Corpus(
            [_unpack_part(part) for part in packed["common"]],
            [[_unpack_part(part) for part in parts] for parts in packed["variants"]],
            {kind: Documents(**found) for kind, found in packed["held_out"].items()},
        )
    except Exception as error:  # torch raises a dozen unrelated types for a damaged file
        raise DataError(f"{path} cannot be read; it is damaged: prepare again") from error


def make_batches(places: Places, rows: int, rng: random.Random) -> list[Places]:
    """Random groups of documents of like length, in random order, so padding stays small."""
    shuffled = sorted(places, key=lambda place: place[0].length(place[1]) * rng.uniform(0.9, 1))
    groups = [shuffled[at : at + rows] for at in range(0, len(shuffled), rows)]
    rng.shuffle(groups)
    return groups


def collate(documents: Iterable[Document]) -> Batch:
    documents = list(documents)
    return Batch(
        _pad([torch.tensor(document.token_ids) for document in documents]),
        _pad([torch.tensor(document.weights) for document in documents]),
    )


def segments(batch: Batch, length: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Inputs, targets and weights of at most ``length`` steps each, in order.

    These are the pieces over which back-propagation through time is truncated.
    """
    last = batch.token_ids.shape[1] - 1
    for start in range(0, last, length):
        stop = min(start + length, last)
        yield (
            batch.token_ids[:, start:stop],
            batch.token_ids[:, start + 1 : stop + 1],
            batch.weights[:, start + 1 : stop + 1],
        )


def _pad(rows: list[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def _to_tensor(values: array[Any], dtype: torch.dtype) -> Tensor:
    return torch.frombuffer(values, dtype=dtype) if values else torch.empty(0, dtype=dtype)


def _pack_part(part: Part) -> dict[str, Any]:
    return {"share": part.share, "repeat": part.repeat, "documents": part.documents.tensors()}


def _unpack_part(packed: dict[str, Any]) -> Part:
    return Part(Documents(**packed["documents"]), packed["share"], packed["repeat"])
