"""How fast a stepper reads tokens: the model alone, with no sampler and no server."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lstmserve_training.stepper import Stepper

STEPS_PER_RUN = 20


@contextmanager
def one_thread() -> Iterator[None]:
    """Whatever is computed inside runs on a single core.

    A step of a small model is too short to share: on two cores that do other work as well,
    waiting for the second thread made a step of 64 rows ten to forty times slower.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def tokens_per_second(stepper: Stepper, rows: int, seconds: float) -> float:
    """Tokens per second of the best of the short runs that fit into ``seconds``, one thread.

    The best run is the least disturbed one. On a machine that does other work at the same
    time the figure is still too low, and only ratios measured together mean much.
    """
    state = stepper.initial_state(rows)
    num_tokens = stepper.step(state, torch.zeros(rows, dtype=torch.int64))[0].shape[1]
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(num_tokens, (STEPS_PER_RUN, rows), generator=generator)
    best = float("inf")
    with one_thread():
        stop = time.perf_counter() + seconds
        while time.perf_counter() < stop:
            start = time.perf_counter()
            for row in tokens.unbind():
                _, state = stepper.step(state, row)
            best = min(best, time.perf_counter() - start)
    return STEPS_PER_RUN * rows / best
