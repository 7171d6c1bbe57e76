"""An event loop in a thread of its own, for servers beside synchronous code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

Result = TypeVar("Result")

WAIT_SECONDS = 20.0


class LoopThread:
    """Runs coroutines for as long as the block takes; what still runs then is cancelled."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_SECONDS)
        if self._thread.is_alive():
            raise TimeoutError(f"{self._name} did not end its loop in {WAIT_SECONDS:g} s")

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Wait for a coroutine; raises TimeoutError naming it if it takes too long."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(WAIT_SECONDS)
        except TimeoutError:
            future.cancel()
            what = getattr(work, "__qualname__", repr(work))
            raise TimeoutError(f"{self._name}: {what} took over {WAIT_SECONDS:g} s") from None

    def _run_loop(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()
