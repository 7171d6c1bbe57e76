"""Who asks, how urgently, and until when: what decides a reply's turn and never its content."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

ANONYMOUS = ""  # the caller that all who give no name share


class Priority(IntEnum):
    """Which requests go first when there are more than can run (``fair_queue`` says how)."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


@dataclass(frozen=True, slots=True)
class Claim:
    """One request's claim on the engine's time."""

    caller: str = ANONYMOUS
    priority: Priority = Priority.NORMAL
    deadline: float = math.inf  # on the engine's clock


NO_CLAIM = Claim()
