"""What a library complains of, as lines of our own log: few, and without tracebacks."""

from __future__ import annotations

import logging
import time

import structlog

QUIET_SECONDS = 60.0  # what goes wrong usually goes wrong many times

log = structlog.get_logger()


def relay_warnings(library: str) -> None:
    """Let a library's warnings stand in the log, at most one a minute."""
    logger = logging.getLogger(library)
    logger.propagate = False
    logger.handlers = [_Relay(logging.WARNING)]


class _Relay(logging.Handler):
    _quiet_until = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_SECONDS
            log.warning(record.name.partition(".")[0], problem=record.getMessage())
