"""Which automata the process of an engine knows: each is told once in its life."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from lstmserve_server.engine.constraints.form import Form
from lstmserve_server.engine.messages import Forget, Teach

MAX_TAUGHT_BYTES = 16 << 20  # the process grows by some five times as much


class Teaching:
    """What one process was taught; those that were not used for the longest time are forgotten."""

    def __init__(self, max_bytes: int = MAX_TAUGHT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._num_bytes: dict[bytes, int] = {}  # by digest, used last last

    def teach(self, form: Form) -> Teach | None:
        """Return what to tell before a reply of this form; None when it is known."""
        num_bytes = self._num_bytes.pop(form.digest, None)
        self._num_bytes[form.digest] = form.automaton.taught_bytes
        return Teach(form.digest, form.automaton) if num_bytes is None else None

    def forget(self, in_use: AbstractSet[bytes]) -> list[Forget]:
        """Return what to tell of automata that are too many; those in use stay."""
        forgotten = list[Forget]()
        total = sum(self._num_bytes.values())
        for digest, num_bytes in list(self._num_bytes.items()):
            if total <= self._max_bytes:
                break
            if digest not in in_use:
                del self._num_bytes[digest]
                total -= num_bytes
                forgotten.append(Forget(digest))
        return forgotten

    def clear(self) -> None:
        """Begin with another process, which knows nothing."""
        self._num_bytes.clear()
