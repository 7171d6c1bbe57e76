"""A run of a recipe that is killed in the middle of an epoch, in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from pathlib import Path

from lstmserve_training import cli
from lstmserve_training.speed import one_thread
from lstmserve_training.train import Places, Trainer

SECONDS = 120.0
# importing takes longer than the run: one process does it, and the others are forked from it
_PROCESSES = multiprocessing.get_context("forkserver")
_IMPORTED = [__name__, "torch._dynamo"]  # torch's optimizers import the second one


def run_and_be_killed(recipe: Path, override: str, batches: int) -> int:
    """Run a recipe until it has trained on so many batches; return the process's exit code."""
    _PROCESSES.set_forkserver_preload(_IMPORTED)
    process = _PROCESSES.Process(target=_run, args=(recipe, override, batches), daemon=True)
    process.start()
    process.join(SECONDS)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"{recipe} did not end in {SECONDS:g} s")
    return process.exitcode


def _run(recipe: Path, override: str, batches: int) -> None:
    whole = Trainer._run_batch
    trained = 0

    def run_batch(self: Trainer, places: Places) -> tuple[float, float, float]:
        nonlocal trained
        if trained == batches:
            os.kill(os.getpid(), signal.SIGKILL)
        trained += 1
        return whole(self, places)

    Trainer._run_batch = run_batch  # type: ignore[method-assign]
    sys.argv = ["lstmserve-train", "run", str(recipe), override, "--device", "cpu"]
    with one_thread():
        cli.main()
