"""What supervisor and worker send each other, as JSON lines.

Down: one order, then what operators changed on any worker. Up: one answer, then what they
changed on this one.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from lstmserve_server.config import ServerConfig
from lstmserve_server.process_messages import OperatorChange, OperatorState, Ready
from lstmserve_server.store.directives import Directives


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
