"""What a server process tells the one that started it, and hears of the others."""

from __future__ import annotations

from dataclasses import dataclass

from lstmserve_server.config import Address
from lstmserve_server.store.directives import Directives


@dataclass(frozen=True, slots=True)
class Ready:
    """What a server that is ready serves, and where."""

    versions: tuple[tuple[str, int], ...]  # every model's name and version, the default first
    listen: Address
    metrics_listen: Address
    has_default: bool = True  # requests need not name a model


@dataclass(frozen=True, slots=True)
class OperatorChange:
    """Up: what an operator changed on this process, as its directives before and after."""

    before: Directives
    after: Directives
    log_level: str = ""  # empty: it has not changed


@dataclass(frozen=True, slots=True)
class OperatorState:
    """Down: all that operators changed so far, on any process; the latest replaces all before."""

    directives: Directives
    num_changes: int = 0  # of the receiver's own, that are in it
    log_level: str = ""  # empty: as configured
