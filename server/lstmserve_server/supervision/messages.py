"""What supervisor and worker say to each other, as JSON lines.

Down: one order, then what operators told any worker. Up: one answer, then what they told
this one.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from lstmserve_server.config import ServerConfig
from lstmserve_server.ready import Ready
from lstmserve_server.store.directives import Directives
from lstmserve_server.word import Saying, Word


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
SAYINGS: TypeAdapter[Saying] = TypeAdapter(Saying)
WORDS: TypeAdapter[Word] = TypeAdapter(Word)
