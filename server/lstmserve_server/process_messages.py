"""What the processes of a server tell each other.

A supervisor sends a worker one order, then what operators changed on any worker. It hears one
answer, then what they changed on this one. Each is a line of JSON.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from lstmserve_server.config import Address, ServerConfig
from lstmserve_server.store.directives import Directives


@dataclass(frozen=True, slots=True)
class Ready:
    """What a server that is ready serves, and where."""

    versions: tuple[tuple[str, int], ...]  # every model's name and version, the default first
    listen: Address
    metrics_listen: Address
    has_default: bool = True  # requests need not name a model
    http_listen: Address | None = None  # of OpenAI's API, where it is served


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


@dataclass(frozen=True, slots=True)
class Order:
    """Everything that a worker needs: it reads neither flags nor the environment."""

    number: int  # of the worker, from 0
    supervisor_pid: int
    cores: tuple[int, ...]  # empty: not pinned
    config: ServerConfig
    # what operators said before this worker
    directives: Directives | None = None
    log_level: str = ""  # empty: as configured


@dataclass(frozen=True, slots=True)
class Refusal:
    """The worker cannot start; one line for the operator."""

    reason: str


# a version that an operator has named takes some thirty bytes
MAX_LINE_BYTES = 1 << 20

ORDERS: TypeAdapter[Order] = TypeAdapter(Order)
ANSWERS: TypeAdapter[Ready | Refusal] = TypeAdapter(Ready | Refusal)
CHANGES: TypeAdapter[OperatorChange] = TypeAdapter(OperatorChange)
STATES: TypeAdapter[OperatorState] = TypeAdapter(OperatorState)
