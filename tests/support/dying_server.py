"""A server whose engine fails after a few decode calls: in Python, or inside TorchScript.

With ``workers`` its workers' engines do, in Python; with ``unborn`` they never get that far.
With ``row`` and ``prompt`` it fails for one request alone, when decoding or prefilling it; with
``poisoned`` the engines of its workers do, when decoding it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from lstmserve_server import worker
from lstmserve_server.cli import main
from lstmserve_server.engine.decoding.decode_row import DecodeRow
from lstmserve_server.engine.decoding.runner import Decoded, Runner
from lstmserve_server.supervision import process

WHY = "only-the-log-may-say-this"
NO_TOKEN = 1 << 40
# beyond those of the warm-up
NUM_GOOD_CALLS = 60
# of the one request
POISON_SEED = 0xDEAD
POISON_TOKENS = 100  # a prompt of at least so many


def fail_later(*, inside_torch: bool) -> None:
    """Let every Runner of this process fail after its good calls."""
    decode, calls = Runner.decode, count()

    def failing(
        self: Runner, rows: Sequence[DecodeRow], steps: int, *, same_rows: bool
    ) -> list[Decoded]:
        if next(calls) < NUM_GOOD_CALLS:
            return decode(self, rows, steps, same_rows=same_rows)
        if inside_torch:
            lost = [replace(row, token_id=NO_TOKEN) for row in rows]
            return decode(self, lost, steps, same_rows=same_rows)
        raise RuntimeError(WHY)

    Runner.decode = failing  # type: ignore[method-assign]


def fail_for_one(*, prefilling: bool) -> None:
    """Let every Runner of this process fail for one request, in whatever batch it is."""
    decode, prefill = Runner.decode, Runner.prefill

    def poisoned_decode(
        self: Runner, rows: Sequence[DecodeRow], steps: int, *, same_rows: bool
    ) -> list[Decoded]:
        if any(row.sampling.seed == POISON_SEED for row in rows):
            raise RuntimeError(WHY)
        return decode(self, rows, steps, same_rows=same_rows)

    def poisoned_prefill(self: Runner, slots: list[int], chunks: Sequence[Sequence[int]]) -> None:
        if any(len(chunk) >= POISON_TOKENS for chunk in chunks):
            raise RuntimeError(WHY)
        prefill(self, slots, chunks)

    if prefilling:
        Runner.prefill = poisoned_prefill  # type: ignore[method-assign]
    else:
        Runner.decode = poisoned_decode  # type: ignore[method-assign]


if __name__ == "__main__":
    kind = sys.argv.pop(1)
    if kind == "unborn":
        process.PROGRAM = ("-c", f"import os; os.kill(os.getpid(), {signal.SIGKILL:d})")
    elif kind in {"workers", "poisoned"}:
        process.PROGRAM = (__file__, "worker" if kind == "workers" else "poisoned-worker")
    elif kind in {"row", "prompt", "poisoned-worker"}:
        fail_for_one(prefilling=kind == "prompt")
    else:
        fail_later(inside_torch=kind == "torch")
    (worker.main if kind in {"worker", "poisoned-worker"} else main)()
