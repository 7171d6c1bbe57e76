"""Which forms the process of an engine knows: each is told once in its life."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from lstmserve_server.engine.constraints.form import Form
from lstmserve_server.engine.constraints.grammar import Grammar
from lstmserve_server.engine.messages import Forget, Teach, TeachTokens

Lesson = Teach | TeachTokens
MAX_TAUGHT_BYTES = 16 << 20  # the process grows by some five times as much


class Teaching:
    """What one process was taught; those that were not used for the longest time are forgotten."""

    def __init__(self, max_bytes: int = MAX_TAUGHT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._num_bytes: dict[bytes, int] = {}  # by digest, used last last
        self._knows_tokens = False

    def teach(self, form: Form, tokens: Callable[[], Sequence[bytes]]) -> list[Lesson]:
        """Return what to tell before a reply of this form; nothing when it is known.

        ``tokens`` gives what the model's tokens stand for, which it is told before a grammar.
        """
        is_known = self._num_bytes.pop(form.digest, None) is not None
        self._num_bytes[form.digest] = form.taught.taught_bytes
        if is_known:
            return []
        lessons = list[Lesson]()
        if isinstance(form.taught, Grammar) and not self._knows_tokens:
            self._knows_tokens = True
            lessons.append(TeachTokens(tuple(tokens())))
        return [*lessons, Teach(form.digest, form.taught)]

    def forget(self, in_use: AbstractSet[bytes]) -> list[Forget]:
        """Return what to tell of forms that are too many; those in use stay."""
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
        self._knows_tokens = False
