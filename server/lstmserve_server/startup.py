"""What every process of a server does around its start, and when it cannot start."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

from lstmserve_server.errors import StartupError

EXIT_CANNOT_START = 2


def end_on_signals() -> None:
    """SIGTERM and SIGINT end this process with exit code 0, until the app listens for them."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _quit)


def explain(error: StartupError | ModuleNotFoundError) -> str:
    """The one line for the operator."""
    if isinstance(error, ModuleNotFoundError):  # the base install is the client alone
        return f"{error.name} is not installed; run: pip install 'lstmserve[server]'"
    return str(error)


def _quit(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)
