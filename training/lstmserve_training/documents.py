"""Documents as token ids with a weight per target, and batches of them.

A document is one conversation, read from a zero state: that is how the server reads a
prompt, so no state ever crosses from one document to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence
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


@dataclass(frozen=True)
class Corpus:
    """What ``prepare`` writes: training documents in parts, and those held out.

    ``parts[0]`` is read in every epoch; of ``parts[1:]``, variants of one another, each
    epoch reads one.
    """

    parts: list[list[Document]]
    held_out_chats: list[Document]
    held_out_answers: list[Document]

    def epoch(self, number: int, chat_share: float, rng: random.Random) -> list[Document]:
        """The documents of one epoch; ``chat_share`` of the first part is drawn for it."""
        chats = self.parts[0]
        if chat_share < 1:
            chats = rng.sample(chats, round(chat_share * len(chats)))
        variants = self.parts[1:]
        extra = variants[number % len(variants)] if variants else []
        return [*chats, *extra]


def save_corpus(corpus: Corpus, path: Path) -> None:
    torch.save(
        {
            "parts": [_pack(part) for part in corpus.parts],
            "held_out_chats": _pack(corpus.held_out_chats),
            "held_out_answers": _pack(corpus.held_out_answers),
        },
        path,
    )


def load_corpus(path: Path) -> Corpus:
    packed = torch.load(path, weights_only=True)
    return Corpus(
        [_unpack(part) for part in packed["parts"]],
        _unpack(packed["held_out_chats"]),
        _unpack(packed["held_out_answers"]),
    )


def make_batches(
    documents: Sequence[Document], rows: int, rng: random.Random
) -> list[list[Document]]:
    """Random groups of documents of like length, in random order, so padding stays small."""
    shuffled = sorted(documents, key=lambda document: len(document.token_ids) * rng.uniform(0.9, 1))
    groups = [shuffled[at : at + rows] for at in range(0, len(shuffled), rows)]
    rng.shuffle(groups)
    return groups


def collate(documents: Sequence[Document]) -> Batch:
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


def _pack(documents: Sequence[Document]) -> dict[str, Tensor]:
    return {
        "lengths": torch.tensor([len(document.token_ids) for document in documents]),
        "token_ids": torch.tensor(
            [token_id for document in documents for token_id in document.token_ids],
            dtype=torch.int32,
        ),
        "weights": torch.tensor([w for document in documents for w in document.weights]),
    }


def _unpack(packed: dict[str, Tensor]) -> list[Document]:
    token_ids = iter(packed["token_ids"].tolist())
    weights = iter(packed["weights"].tolist())
    return [
        Document(list(islice(token_ids, length)), list(islice(weights, length)))
        for length in packed["lengths"].tolist()
    ]
