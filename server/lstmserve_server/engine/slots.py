"""Which sequence's state lies in which slot of the runner's pool."""

from __future__ import annotations

from lstmserve_server.engine.sequence import Sequence


class Slots:
    """Gives slots away, the lowest number that was never used or the one freed last; O(1)."""

    def __init__(self) -> None:
        self._slots: dict[Sequence, int] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        """How many are taken."""
        return len(self._slots)

    def __contains__(self, sequence: Sequence) -> bool:
        return sequence in self._slots

    def __getitem__(self, sequence: Sequence) -> int:
        return self._slots[sequence]

    def take(self, sequence: Sequence) -> int:
        """Give a sequence that has none a slot."""
        # with nothing free, exactly the numbers below this are taken
        slot = self._free.pop() if self._free else len(self._slots)
        self._slots[sequence] = slot
        return slot

    def free(self, sequence: Sequence) -> None:
        """Take a sequence's slot back."""
        self._free.append(self._slots.pop(sequence))
