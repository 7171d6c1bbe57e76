"""Structured logs on standard error: readable on a terminal, JSON elsewhere.

Written by a thread of their own: whoever reads them may be slow or gone, and no reply
waits for that. Lines that find the queue full are dropped, and counted in the next line.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from contextlib import suppress
from typing import TextIO

import structlog

MAX_QUEUED_LINES = 10_000
MAX_WRITTEN_LINES = 100  # at once: the rest still counts as queued
GATHER_SECONDS = 0.02  # how late a line may be
LAST_LINES_SECONDS = 1.0


class BackgroundFile:
    """A text file whose ``write`` neither blocks nor fails."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._filled = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        if len(self._lines) >= MAX_QUEUED_LINES:
            self._dropped += 1
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
            text = "".join(self._lines.popleft() for _ in range(count))
            dropped, self._dropped = self._dropped, 0
            if dropped:
                text = f'{{"event": "log lines dropped", "count": {dropped}}}\n{text}'
            with suppress(OSError, ValueError):  # nobody reads any more
                self._file.write(text)
                self._file.flush()


def configure_logging(level: str, log_format: str, **facts: object) -> BackgroundFile:
    """Settle how this process logs; ``log_format`` is auto, console or json.

    Every line has the facts, on whatever thread it is written. To be closed before anything
    else is written to standard error.
    """
    on_terminal = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    renderer = (
        structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer()
    )
    file = BackgroundFile(sys.stderr)
    structlog.configure(
        processors=[
            lambda _logger, _method, line: {**facts, **line},
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if on_terminal else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
        logger_factory=structlog.WriteLoggerFactory(file),  # type: ignore[arg-type]  # a file's part
    )
    return file
