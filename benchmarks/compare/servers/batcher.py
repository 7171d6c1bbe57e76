"""Continuous batching as an expert builds it around a stock model: a thread that steps."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from benchmarks.compare.servers.rows import StockRows


@dataclass(eq=False)
class Reply:
    """One reply; ``emit`` is told each token id, and whether it is the last."""

    prompt_ids: Sequence[int]
    temperature: float
    remaining: int
    emit: Callable[[int, bool], object]
    is_cancelled: bool = False


# what one step gave: each reply, its token id, whether it was the last
Step = list[tuple[Reply, int, bool]]


class Batcher:
    """Decodes one token for every reply per step, and hands over all of them at once."""

    def __init__(self, max_rows: int, deliver: Callable[[Step], object]) -> None:
        self._rows = StockRows()
        self._running: list[Reply] = []
        self._waiting: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self._max_rows = max_rows
        self._deliver = deliver

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def submit(self, sequence: Reply) -> None:
        self._waiting.put(sequence)

    @torch.inference_mode()
    def _run(self) -> None:
        while True:
            self._admit()
            self._step()
            self._leave()

    def _admit(self) -> None:
        joining = [] if self._running else [self._waiting.get()]  # idle until one comes
        while len(self._running) + len(joining) < self._max_rows and not self._waiting.empty():
            joining.append(self._waiting.get())
        if joining:
            self._rows.join(
                [one.prompt_ids for one in joining], [one.temperature for one in joining]
            )
            self._running += joining

    def _step(self) -> None:
        step: Step = []
        for sequence, token_id in zip(self._running, self._rows.step(), strict=True):
            sequence.remaining -= 1
            step.append((sequence, token_id, sequence.remaining == 0))
        self._deliver(step)

    def _leave(self) -> None:
        staying = [
            number
            for number, sequence in enumerate(self._running)
            if sequence.remaining and not sequence.is_cancelled
        ]
        if len(staying) < len(self._running):
            self._running = [self._running[number] for number in staying]
            self._rows.keep(staying)
