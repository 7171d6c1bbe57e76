"""The states of all slots, in one tensor [slots, S].

A quantum works on the states of its rows where they lie. So they have to lie side by side, in
whatever order: when the rows change, the few states that are in the way change places.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lstmserve_server.engine.decoding.places import Places


class StatePool:
    """Keeps a state for every slot."""

    def __init__(self, states: Tensor) -> None:
        self.states = states  # by place, not by slot
        self._places = Places(len(states))
        self._slots: list[int] = []  # that lie side by side, since the last call
        self._order: list[int] = []

    def place_of(self, slot: int) -> int:
        """Return where the state of a slot lies now."""
        return self._places[slot]

    def of(self, slot: int) -> Tensor:
        """Return the state of a slot, a view [1, S]."""
        place = self._places[slot]
        return self.states[place : place + 1]

    def bring_together(self, slots: list[int]) -> list[int]:
        """Have the states of these slots lie side by side; return their order there.

        The order is of the numbers that slots have in the list.
        """
        if slots != self._slots:
            self._swap(self._places.bring_together(slots))
            self._order = sorted(range(len(slots)), key=lambda n: self._places[slots[n]])
            self._slots = slots
        return self._order

    def _swap(self, pairs: Sequence[tuple[int, int]]) -> None:
        if not pairs:
            return
        one, other = zip(*pairs, strict=True)
        moved = self.states.index_select(0, torch.tensor(one + other))
        self.states.index_copy_(0, torch.tensor(other + one), moved)
