"""Waiting for a state of another process, which has no events for us."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

WAIT_SECONDS = 60.0  # far more than anything takes, also beside others
PAUSE_SECONDS = 0.01


def until(
    condition: Callable[[], object],
    what: str | Callable[[], object],
    seconds: float = WAIT_SECONDS,
) -> None:
    """Wait until something is so; raises TimeoutError saying ``what`` was waited for."""
    for _ in _looks(what, seconds):
        if condition():
            return
        time.sleep(PAUSE_SECONDS)


async def until_so(
    condition: Callable[[], object],
    what: str | Callable[[], object],
    seconds: float = WAIT_SECONDS,
) -> None:
    """Do the same while the event loop goes on."""
    for _ in _looks(what, seconds):
        if condition():
            return
        await asyncio.sleep(PAUSE_SECONDS)


def _looks(what: str | Callable[[], object], seconds: float) -> Iterator[None]:
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        yield
    raise TimeoutError(f"{what if isinstance(what, str) else what()}: not so in {seconds:g} s")
