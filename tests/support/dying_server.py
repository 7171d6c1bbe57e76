"""A server whose engine fails after a few decode calls: in Python, or inside TorchScript.

With ``workers`` its workers' engines do, in Python; with ``unborn`` they never get that far.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from lstmserve_server import worker
from lstmserve_server.cli import main
from lstmserve_server.engine.decode_row import DecodeRow
from lstmserve_server.engine.runner import Decoded, Runner
from lstmserve_server.supervision import process

WHY = "only-the-log-may-say-this"
NO_TOKEN = 1 << 40
# beyond those of the warm-up
NUM_GOOD_CALLS = 60


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


if __name__ == "__main__":
    kind = sys.argv.pop(1)
    if kind == "unborn":
        process.PROGRAM = ("-c", f"import os; os.kill(os.getpid(), {signal.SIGKILL:d})")
    elif kind == "workers":
        process.PROGRAM = (__file__, "worker")
    else:
        fail_later(inside_torch=kind == "torch")
    (worker.main if kind == "worker" else main)()
