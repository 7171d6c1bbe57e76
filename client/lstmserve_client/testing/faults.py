"""What goes wrong, in the order in which it is to."""

import copy
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from lstmserve_client.errors import LstmserveError
from lstmserve_client.transport import Attempt


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls one attempt: it takes longer, or ends with an error, or both."""

    delay_seconds: float = 0.0
    error: LstmserveError | None = None
    after_tokens: int = 0  # of a stream, before the error

    def raise_error(self, attempt: Attempt) -> None:
        """Raise a copy of the error, if there is one: clients write into those they get."""
        if self.error is not None:
            error = copy.copy(self.error)
            error.request_id = error.request_id or attempt.request_id
            raise error


NONE = Fault()


class Faults:
    """Those that are still to come. Safe to share between threads."""

    def __init__(self) -> None:
        self._coming: deque[Fault] = deque()

    def add(self, faults: Iterable[Fault]) -> None:
        """After those that are to come already."""
        self._coming.extend(faults)

    def take(self) -> Fault:
        """The one for the attempt that begins."""
        try:
            return self._coming.popleft()
        except IndexError:
            return NONE
