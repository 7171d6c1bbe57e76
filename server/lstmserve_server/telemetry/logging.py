"""Structured logs on standard error: readable on a terminal, JSON elsewhere.

Written by a thread of their own (``background_file``). The level may change while the
process runs.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any

import msgspec
import structlog

from lstmserve_server.telemetry.background_file import BackgroundFile

_JSON = msgspec.json.Encoder()
QUIET_SECONDS = 60.0  # between two warnings of a library: what goes wrong does so many times


class ProcessLog:
    """How this process logs; there is one of it, as there is one standard error.

    To be closed before anything else is written to standard error.
    """

    def __init__(
        self,
        level: str,
        file: BackgroundFile,
        facts: Mapping[str, object] = MappingProxyType({}),
        *,
        is_for_people: bool = False,
    ) -> None:
        """Every line has the facts."""
        self._file = file
        self._facts = facts
        self.rendering = _for_people() if is_for_people else _for_programs()
        self.set_level(level)

    @property
    def level(self) -> str:
        """Of the least severe lines that are written: DEBUG, INFO, WARNING or ERROR."""
        return self._level

    def set_level(self, level: str) -> None:
        """Write lines of this level and above from now on, on all threads."""
        self._level = level
        numbers = logging.getLevelNamesMapping()
        self._silent = {name.lower() for name in numbers if numbers[name] < numbers[level]}

    def writes(self, level: str) -> bool:
        """Return whether lines of this level are written now; others are not worth making."""
        return level.lower() not in self._silent

    def drop_silent(
        self, _logger: object, method: str, line: structlog.types.EventDict
    ) -> structlog.types.EventDict:
        """Drop lines below the level: a processor, as loggers are made once and kept."""
        if method in self._silent:
            raise structlog.DropEvent
        return line

    def add_facts(
        self, _logger: object, _method: str, line: structlog.types.EventDict
    ) -> structlog.types.EventDict:
        """Put what every line tells before what it tells itself: a processor."""
        return {**self._facts, **line}

    def tell(self, event: str, describe: Callable[[], dict[str, Any]]) -> None:
        """Write a line of level INFO, as structlog would, that is described and made when it is
        written: there is one for every call, and several one after the other take less time.
        """
        self._file.write_later(partial(self._make, event, describe, datetime.now(UTC)))

    def _make(self, event: str, describe: Callable[[], dict[str, Any]], at: datetime) -> str:
        line: Any = {**self.add_facts(None, "info", describe()), "event": event, "level": "info"}
        line["timestamp"] = at.isoformat().replace("+00:00", "Z")
        for processor in self.rendering:
            line = processor(None, "info", line)
        return f"{line}\n"

    def on_drop(self, callback: Callable[[], object]) -> None:
        """Let somebody know of every line that found the queue full."""
        self._file.on_drop = callback

    def close(self) -> None:
        """Give the last lines a moment to be written."""
        self._file.close()


def configure_logging(level: str, log_format: str, **facts: object) -> ProcessLog:
    """Settle how this process logs; ``log_format`` is auto, console or json.

    Every line has the facts, on whatever thread it is written.
    """
    on_terminal = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    file = BackgroundFile(sys.stderr)
    log = ProcessLog(level, file, facts, is_for_people=on_terminal)
    structlog.configure(
        processors=[
            log.drop_silent,
            log.add_facts,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *log.rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        cache_logger_on_first_use=True,
        logger_factory=structlog.WriteLoggerFactory(file),  # type: ignore[arg-type]  # a file's part
    )
    return log


def _for_people() -> list[structlog.types.Processor]:
    """What is not known is left out, and what matters most comes first."""
    return [
        lambda _logger, _method, line: {key: v for key, v in line.items() if v != ""},
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            sort_keys=False,
            # where rich is installed the default shows variables: prompts and tokens
            exception_formatter=structlog.dev.plain_traceback,
        ),
    ]


def _for_programs() -> list[structlog.types.Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_to_json)]


def _to_json(line: object, **options: Any) -> str:  # noqa: ANN401 - those of the standard library
    try:
        written = _JSON.encode(line)
    except (TypeError, UnicodeEncodeError):  # a strange value; or a name of a file that is no text
        return json.dumps(line, **options)
    # beyond ASCII there are further control characters and ends of lines, which it escapes
    return written.decode() if written.isascii() else json.dumps(line, **options)


def relay_warnings(library: str) -> None:
    """Let a library's warnings stand in our log: one a minute at most, and without tracebacks."""
    logger = logging.getLogger(library)
    logger.propagate = False
    logger.handlers = [_Relay(logging.WARNING)]


class _Relay(logging.Handler):
    _quiet_until = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_SECONDS
            structlog.get_logger().warning(
                record.name.partition(".")[0], problem=record.getMessage()
            )
