"""A clock that stands still until somebody waits."""

import asyncio
import threading

from lstmserve_client.clock import Clock


class FakeClock(Clock):
    """Waiting takes no time and moves it; ``waits`` has every pause, in seconds."""

    def __init__(self, now: float = 0.0) -> None:
        self.waits: list[float] = []
        self._now = now
        self._lock = threading.Lock()

    def now(self) -> float:
        """Seconds since it was made, as far as it was moved."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        with self._lock:
            self._now += seconds

    def wait(self, seconds: float, ended: threading.Event) -> bool:
        """Let the time pass at once."""
        self._pause(seconds)
        return ended.is_set()

    async def sleep(self, seconds: float) -> None:
        """Let the time pass, and other tasks have their turn."""
        self._pause(seconds)
        await asyncio.sleep(0)

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self.waits.append(seconds)
            self.advance(seconds)
