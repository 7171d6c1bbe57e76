"""Sequences and schedulers for tests with pencil and paper: no model, no clock."""

from __future__ import annotations

import math

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.request import Claim, GenerationRequest, Priority, SamplingParams
from lstmserve_server.engine.scheduling.pace import Pace
from lstmserve_server.engine.scheduling.scheduler import Scheduler
from lstmserve_server.engine.scheduling.sequence import Sequence

NO_END = -1  # no token of these


def make_sequence(
    number: int,
    prompt: int = 1,
    max_tokens: int = 100,
    *,
    min_tokens: int = 0,
    caller: str = "",
    priority: Priority = Priority.NORMAL,
    deadline: float = math.inf,
    num_known: int = 0,
    wanted: tuple[int, ...] = (),
) -> Sequence:
    """A sequence whose prompt is tokens 0, 1, 2…"""
    request = GenerationRequest(tuple(range(prompt)), SamplingParams(), max_tokens, min_tokens)
    claim = Claim(caller, priority, deadline)
    return Sequence(number, request, claim, NO_END, 0.0, num_known, wanted)


def make_scheduler(pace: Pace | None = None, **bounds: int) -> Scheduler:
    return Scheduler(EngineConfig(**bounds), pace or Pace())


def step(scheduler: Scheduler, tokens: int = 1) -> list[Sequence]:
    """What the engine does in a step, with this many tokens decoded; returns who decodes."""
    for piece in scheduler.next_chunks():
        piece.sequence.num_prefilled += len(piece.token_ids)
    scheduler.take_ready()
    running = list(scheduler.running)
    for sequence in running:
        sequence.extend([7] * tokens)
    return running
