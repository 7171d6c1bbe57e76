"""What supervisor and worker say to each other, as JSON lines.

Down: one order, then what operators told other workers. Up: one answer, then what they
told this one.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from lstmserve_server.config import ServerConfig
from lstmserve_server.ready import Ready
from lstmserve_server.word import Word


@dataclass(frozen=True, slots=True)
class Order:
    """Everything that a worker needs: it reads neither flags nor the environment."""

    number: int  # of the worker, from 0
    supervisor_pid: int
    cores: tuple[int, ...]  # empty: not pinned
    config: ServerConfig
    log_level: str
    log_format: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The worker cannot start; one line for the operator."""

    reason: str


ORDERS: TypeAdapter[Order] = TypeAdapter(Order)
ANSWERS: TypeAdapter[Ready | Refusal] = TypeAdapter(Ready | Refusal)
WORDS: TypeAdapter[Word] = TypeAdapter(Word)
