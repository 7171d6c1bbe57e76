"""A server whose engines fail: after a few decode calls, in Python or inside TorchScript; by a
signal; or for one request alone, when prefilling or decoding it.

With ``stillborn`` the first engine fails so, and none can be started after it. With ``unborn``
workers never get as far as an engine.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from lstmserve_server import worker
from lstmserve_server.cli import main
from lstmserve_server.engine import launcher
from lstmserve_server.engine.decoding.decode_row import DecodeRow
from lstmserve_server.engine.decoding.runner import Decoded, Runner
from lstmserve_server.engine.process import loader
from lstmserve_server.engine.process.main import main as run_engine
from lstmserve_server.supervision import process

WHY = "only-the-log-may-say-this"
NO_TOKEN = 1 << 40
ENGINE_PROGRAM = ("-P", "-m", "support.dying_server", "engine")  # a module, so that it is forked
# beyond those of the proof and the warm-up, which are fewer when an archive is loaded
NUM_GOOD_CALLS = 50
# of the one request
POISON_SEED = 0xDEAD
POISON_TOKENS = 100  # a prompt of at least so many


def fail_later(how: str) -> None:
    """Let every Runner of this process fail after its good calls."""
    decode, calls = Runner.decode, count()

    def failing(
        self: Runner,
        rows: Sequence[DecodeRow],
        steps: int,
        **options: Any,  # noqa: ANN401 - as they are
    ) -> list[Decoded]:
        if next(calls) < NUM_GOOD_CALLS:
            return decode(self, rows, steps, **options)
        if how == "torch":
            lost = [replace(row, token_id=NO_TOKEN) for row in rows]
            return decode(self, lost, steps, **options)
        if how == "signal":
            os.kill(os.getpid(), signal.SIGSEGV)
        raise RuntimeError(WHY)

    Runner.decode = failing  # type: ignore[method-assign]


def fail_for_one(*, prefilling: bool) -> None:
    """Let every Runner of this process fail for one request, in whatever batch it is."""
    decode, prefill = Runner.decode, Runner.prefill

    def poisoned_decode(
        self: Runner,
        rows: Sequence[DecodeRow],
        steps: int,
        **options: Any,  # noqa: ANN401 - as they are
    ) -> list[Decoded]:
        if any(row.sampling.seed == POISON_SEED for row in rows):
            raise RuntimeError(WHY)
        return decode(self, rows, steps, **options)

    def poisoned_prefill(self: Runner, slots: list[int], chunks: Sequence[Sequence[int]]) -> None:
        if any(len(chunk) >= POISON_TOKENS for chunk in chunks):
            raise RuntimeError(WHY)
        prefill(self, slots, chunks)

    if prefilling:
        Runner.prefill = poisoned_prefill  # type: ignore[method-assign]
    else:
        Runner.decode = poisoned_decode  # type: ignore[method-assign]


def refuse_archives() -> None:
    """Let no engine but the first one start."""

    def refuse(*_: object) -> loader.LoadedModel:
        raise RuntimeError(WHY)

    loader.load_archive = refuse


def be_engine(kind: str, arguments: list[str]) -> None:
    """Be an engine's process that fails in this way."""
    if kind in {"row", "prompt"}:
        fail_for_one(prefilling=kind == "prompt")
    else:
        fail_later(kind)
    if kind == "stillborn":
        refuse_archives()
    run_engine(arguments)


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    launcher.PROGRAM = (*ENGINE_PROGRAM, kind)
    process.PROGRAM = (__file__, "worker", kind)
    if kind == "engine":
        be_engine(arguments[0], arguments[1:])
    elif kind == "unborn":
        process.PROGRAM = ("-c", f"import os; os.kill(os.getpid(), {signal.SIGKILL:d})")
        del sys.argv[1]
        main()
    elif kind == "worker":
        launcher.PROGRAM = (*ENGINE_PROGRAM, arguments[0])
        worker.main()
    else:
        del sys.argv[1]
        main()
