"""The automata that an engine was taught, in tensors that the decode loop reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lstmserve_server.engine.constraints.automaton import Automaton
from lstmserve_server.engine.decoding.constraining import Automata, most_classes

LEAST_CAPACITY = 16


@dataclass(frozen=True, slots=True)
class Place:
    """Where an automaton lies."""

    number: int
    first_state: int
    is_packed: bool


class Taught:
    """Automata by their digests. Further ones are put behind the others."""

    def __init__(self, num_tokens: int) -> None:
        self._num_tokens = num_tokens
        self._known: dict[bytes, Automaton] = {}
        self._begin()
        bits = (torch.arange(256).unsqueeze(1) >> torch.arange(8)) & 1
        self._bits = torch.where(bits == 1, 0.0, -torch.inf)

    def _begin(self) -> None:
        self._places: dict[bytes, Place] = {}
        self._num_forgotten_bytes = 0
        self._keys = _Column(torch.int64)
        self._nexts = _Column(torch.int32)
        self._facts = _Column(torch.int32, 3)
        self._biases = _Column(torch.float32, self._num_tokens)
        self._masks = _Column(torch.uint8, self._num_tokens // 8)
        self._classes = _Column(torch.int64, self._num_tokens)

    def __getitem__(self, digest: bytes) -> Automaton:
        return self._known[digest]

    def place_of(self, digest: bytes) -> Place:
        """Return where an automaton lies that was taught."""
        return self._places[digest]

    @property
    def automata(self) -> Automata:
        """All of them; what is taught later does not change these."""
        return Automata(
            self._keys.values,
            self._nexts.values,
            self._facts.values,
            self._biases.values,
            self._masks.values,
            self._classes.values,
            self._bits,
        )

    def teach(self, digest: bytes, automaton: Automaton) -> None:
        """Know an automaton over the model's tokens."""
        if digest not in self._known:
            self._known[digest] = automaton
            self._put(digest, automaton)

    def forget(self, digest: bytes) -> None:
        """Let an automaton go that no row needs any more."""
        automaton = self._known.pop(digest, None)
        if automaton is None:
            return
        del self._places[digest]
        self._num_forgotten_bytes += automaton.taught_bytes
        if self._num_forgotten_bytes > sum(kept.taught_bytes for kept in self._known.values()):
            self._begin()
            for kept_digest, kept in self._known.items():
                self._put(kept_digest, kept)

    def _put(self, digest: bytes, automaton: Automaton) -> None:
        first_state, is_packed = len(self._facts), automaton.has_many_sets
        self._places[digest] = Place(len(self._classes), first_state, is_packed)
        first = np.frombuffer(automaton.first, np.int32)
        counts = first[1:] - first[:-1]
        states = np.repeat(np.arange(len(counts), dtype=np.int64) + first_state, counts)
        width = most_classes(self._num_tokens)
        self._keys.extend(states * width + np.frombuffer(automaton.classes, np.uint16))
        self._nexts.extend(np.frombuffer(automaton.nexts, np.int32) + np.int32(first_state))
        facts = [
            np.frombuffer(automaton.mask_ids, np.int32) + np.int32(self._put_sets(automaton)),
            np.frombuffer(automaton.distances, np.int32),
            np.frombuffer(automaton.worst, np.int32),
        ]
        self._facts.extend(np.stack(facts, axis=1))
        classes = np.frombuffer(automaton.token_classes, np.uint16)
        self._classes.extend(classes.astype(np.int64)[None])

    def _put_sets(self, automaton: Automaton) -> int:
        """Return the number of the first of an automaton's sets among those of its kind."""
        masks = np.frombuffer(automaton.masks, np.uint8).reshape(-1, self._num_tokens // 8)
        if automaton.has_many_sets:
            self._masks.extend(masks)
            return len(self._masks) - len(masks)
        is_allowed = np.unpackbits(masks, axis=1, bitorder="little") == 1
        self._biases.extend(np.where(is_allowed, np.float32(0), np.float32(-np.inf)))
        return len(self._biases) - len(masks)


class _Column:
    """A tensor that grows at its end; whoever has its values keeps them as they are."""

    def __init__(self, kind: torch.dtype, width: int | None = None) -> None:
        self._shape = () if width is None else (width,)
        self._kind = kind
        self._length = 0
        self._buffer = torch.empty((0, *self._shape), dtype=kind)

    def __len__(self) -> int:
        return self._length

    @property
    def values(self) -> Tensor:
        return self._buffer[: self._length]

    def extend(self, rows: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> None:
        end = self._length + len(rows)
        if end > len(self._buffer):
            capacity = max(end, 2 * len(self._buffer), LEAST_CAPACITY)
            grown = torch.empty((capacity, *self._shape), dtype=self._kind)
            grown[: self._length] = self.values
            self._buffer = grown
        self._buffer[self._length : end] = torch.from_numpy(np.array(rows))
        self._length = end
