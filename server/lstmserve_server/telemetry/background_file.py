"""A file that a thread of its own writes: whoever reads it may be slow or gone, and nobody waits.

Lines that find the queue full are dropped, counted, and told of in the next line. A
``QueueListener`` never ends while its file is stuck, and a line costs more (docs/log.md).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from lstmserve_server.threads import start_thread

MAX_QUEUED_LINES = 10_000
MAX_WRITTEN_LINES = 100  # at once: the rest still counts as queued
GATHER_SECONDS = 0.02  # how late a line may be
LAST_LINES_SECONDS = 1.0


class BackgroundFile:
    """A text file whose ``write`` neither blocks nor fails."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lines: deque[str | Callable[[], str]] = deque()
        self._dropped = 0
        self.on_drop: Callable[[], object] | None = None  # told of every line
        self._filled = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        start_thread(self._thread)

    def write(self, text: str) -> None:
        self._put(text)

    def write_later(self, make: Callable[[], str]) -> None:
        """Write a text that the thread makes: many, one after the other, take less time."""
        self._put(make)

    def _put(self, text: str | Callable[[], str]) -> None:
        if len(self._lines) >= MAX_QUEUED_LINES:
            self._dropped += 1
            if self.on_drop is not None:
                self.on_drop()
            return
        self._lines.append(text)
        if not self._filled.is_set():
            self._filled.set()

    def flush(self) -> None:
        """Nothing: the thread flushes."""

    def close(self) -> None:
        """Give the last lines a moment to be written."""
        self._closing.set()
        self._filled.set()
        self._thread.join(LAST_LINES_SECONDS)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._filled.wait()
            # a thread that wakes up for every line takes the interpreter from the event loop
            self._closing.wait(GATHER_SECONDS)
            self._filled.clear()
            self._write_waiting()
        self._write_waiting()  # what came between the last look and the end

    def _write_waiting(self) -> None:
        while self._lines:
            count = min(len(self._lines), MAX_WRITTEN_LINES)
            text = "".join(_make(self._lines.popleft()) for _ in range(count))
            dropped, self._dropped = self._dropped, 0
            if dropped:
                text = f'{{"event": "log lines dropped", "count": {dropped}}}\n{text}'
            with suppress(OSError, ValueError):  # nobody reads any more
                self._file.write(text)
                self._file.flush()


def _make(text: str | Callable[[], str]) -> str:
    if isinstance(text, str):
        return text
    try:
        return text()
    except Exception as error:  # noqa: BLE001 - whatever it is, the next lines are written
        return f'{{"event": "a log line was lost", "error": "{type(error).__name__}"}}\n'
