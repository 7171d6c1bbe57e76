"""Has a version tried by the server's own program, where the server is installed.

Training imports nothing of the server: it starts the program that an operator would.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from lstmserve_bundle.bundle import open_bundle
from lstmserve_training.errors import PublishError
from lstmserve_training.export import check_same_bits, load_module

if TYPE_CHECKING:
    from pathlib import Path

# -P: the folder in which a recipe lies is no place to import from
PROGRAM = ("-P", "-m", "lstmserve_server", "verify")
EXIT_REFUSED = 3


def prove(folder: Path) -> str:
    """Have a version proved exact as a server will; say what was done.

    Raises PublishError for a version that a server would refuse. Where no server is installed,
    its numbers are compared in this process, which finds less.
    """
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, *PROGRAM, str(folder)], capture_output=True, text=True, check=False
    )
    said = (done.stderr.strip().splitlines() or [f"it ended with exit code {done.returncode}"])[-1]
    if done.returncode == EXIT_REFUSED:
        raise PublishError(f"a server would refuse the version: {said}")
    if done.returncode:
        check_bits(folder)
        return f"proved exact by training alone: the server's own trial cannot run here ({said})"
    return "proved exact, by the trial that a server makes before it serves"


def check_bits(folder: Path) -> str:
    """Compare the numbers of rows alone, beside others and by prefill, in this process."""
    model_path = open_bundle(folder).model_path
    check_same_bits(load_module(model_path), load_module(model_path))
    return "proved exact by training alone"
