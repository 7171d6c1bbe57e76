"""Structured logs on standard error: readable on a terminal, JSON elsewhere.

Written by a thread of their own: whoever reads them may be slow or gone, and no reply
waits for that. Lines that find the queue full are dropped, and counted in the next line.
"""

from __future__ import annotations

import atexit
import logging
import queue
import sys
import threading
from typing import TextIO

import structlog

MAX_QUEUED_LINES = 10_000
LAST_LINES_SECONDS = 1.0


class BackgroundFile:
    """A text file whose ``write`` neither blocks nor fails."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lines: queue.Queue[str | None] = queue.Queue(MAX_QUEUED_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            self._dropped += 1

    def flush(self) -> None:
        """Nothing: the thread flushes every line."""

    def close(self) -> None:
        """Give the last lines a moment to be written."""
        try:
            self._lines.put(None, timeout=LAST_LINES_SECONDS)
        except queue.Full:
            return
        self._thread.join(LAST_LINES_SECONDS)

    def _run(self) -> None:
        while (text := self._lines.get()) is not None:
            dropped, self._dropped = self._dropped, 0
            if dropped:
                text = f'{{"event": "log lines dropped", "count": {dropped}}}\n{text}'
            try:
                self._file.write(text)
                self._file.flush()
            except (OSError, ValueError):  # nobody reads any more
                continue


def configure_logging(level: str, log_format: str, **facts: object) -> None:
    """Settle how this process logs; ``log_format`` is auto, console or json.

    Every line has the facts, on whatever thread it is written.
    """
    on_terminal = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    renderer = (
        structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer()
    )
    file = BackgroundFile(sys.stderr)
    atexit.register(file.close)
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
        logger_factory=structlog.WriteLoggerFactory(file),  # type: ignore[arg-type]  # a file's part
    )
