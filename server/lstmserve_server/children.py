"""Fresh interpreters that this process starts, and how it ends them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress


def environment() -> dict[str, str]:
    """For an interpreter that is to import what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def send_signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signal a process; one that has ended is no error.

    asyncio's own way looks first whether it has ended, and takes its exit code from whoever
    waits for it.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
