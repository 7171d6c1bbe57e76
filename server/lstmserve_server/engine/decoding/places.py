"""Where in the pool the state of each slot lies. Knows no torch."""

from __future__ import annotations

from collections.abc import Sequence


class Places:
    """A place for each slot; those of any slots can be brought side by side."""

    def __init__(self, num_slots: int) -> None:
        self._place_of = list(range(num_slots))
        self._slot_at = list(range(num_slots))

    def __getitem__(self, slot: int) -> int:
        return self._place_of[slot]

    def bring_together(self, slots: Sequence[int]) -> list[tuple[int, int]]:
        """Give these slots places side by side; return the pairs of places whose states to swap.

        They stay where they are if they lie so already. Else those that lie behind the first
        ``len(slots)`` places change places with others there: as many as have to move.
        """
        places = sorted(self._place_of[slot] for slot in slots)
        if places[-1] - places[0] < len(places):
            return []
        far = [place for place in places if place >= len(slots)]
        near = sorted(set(range(len(slots))).difference(places))
        swaps = list(zip(near, far, strict=True))
        for one, other in swaps:
            self._swap(one, other)
        return swaps

    def _swap(self, one: int, other: int) -> None:
        at = self._slot_at
        at[one], at[other] = at[other], at[one]
        self._place_of[at[one]], self._place_of[at[other]] = one, other
