"""The time by which a client waits: the machine's, and a scripted one in tests."""

import asyncio
import threading
import time


class Clock:
    """The machine's clock."""

    def now(self) -> float:
        """Monotonic, in seconds."""
        return time.monotonic()

    def wait(self, seconds: float, ended: threading.Event) -> bool:
        """Whether ``ended`` was set within so long."""
        return ended.wait(seconds)

    async def sleep(self, seconds: float) -> None:
        """Wait on an event loop."""
        await asyncio.sleep(seconds)
