"""A server whose engine fails after a few decode calls: in Python, or inside TorchScript."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from lstmserve_server.cli import main
from lstmserve_server.engine.runner import Decoded, DecodeRow, Runner

WHY = "only-the-log-may-say-this"
NO_TOKEN = 1 << 40
# beyond those of the warm-up
NUM_GOOD_CALLS = 60


def fail_later(*, inside_torch: bool) -> None:
    """Let every Runner of this process fail after its good calls."""
    decode, calls = Runner.decode, count()

    def failing(self: Runner, rows: Sequence[DecodeRow], steps: int) -> list[Decoded]:
        if next(calls) < NUM_GOOD_CALLS:
            return decode(self, rows, steps)
        if inside_torch:
            return decode(self, [replace(row, token_id=NO_TOKEN) for row in rows], steps)
        raise RuntimeError(WHY)

    Runner.decode = failing  # type: ignore[method-assign]


if __name__ == "__main__":
    fail_later(inside_torch=sys.argv.pop(1) == "torch")
    main()
