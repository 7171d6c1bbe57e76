"""OperationsService: what administrators change while the server runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import grpc
import structlog

from lstmserve.v1 import operations_service_pb2 as pb
from lstmserve.v1 import operations_service_pb2_grpc
from lstmserve_server.errors import FieldViolation, InvalidRequestError
from lstmserve_server.rpc.call import current_call

LEVELS = {
    pb.LOG_LEVEL_DEBUG: "DEBUG",
    pb.LOG_LEVEL_INFO: "INFO",
    pb.LOG_LEVEL_WARNING: "WARNING",
    pb.LOG_LEVEL_ERROR: "ERROR",
}
NUMBERS = {name: number for number, name in LEVELS.items()}

Context = grpc.aio.ServicerContext[Any, Any]
log = structlog.get_logger()


class LogLevel(Protocol):
    """The level of this process's log."""

    @property
    def level(self) -> str: ...

    def set_level(self, level: str) -> None: ...


class OperationsServicer(operations_service_pb2_grpc.OperationsServiceServicer):
    """Reads and sets the log level of this process."""

    def __init__(self, log_level: LogLevel, on_change: Callable[[str], object]) -> None:
        """Call ``on_change`` once a level is in force here, to tell other processes."""
        self._log_level = log_level
        self._on_change = on_change

    async def GetLogLevel(
        self, request: pb.GetLogLevelRequest, context: Context
    ) -> pb.GetLogLevelResponse:
        return pb.GetLogLevelResponse(level=NUMBERS[self._log_level.level])

    async def SetLogLevel(
        self, request: pb.SetLogLevelRequest, context: Context
    ) -> pb.SetLogLevelResponse:
        level, previous = _check_level(request.level), self._log_level.level
        caller = current_call.get().call.caller
        # before it is, so that a log which goes quiet says why
        log.warning(
            "log level is set",
            level_set=level,
            previous=previous,
            caller=caller,
        )
        self._log_level.set_level(level)
        self._on_change(level)
        return pb.SetLogLevelResponse(previous_level=NUMBERS[previous])


def _check_level(level: pb.LogLevel.ValueType) -> str:
    if level in LEVELS:
        return LEVELS[level]
    wanted = f"must be {', '.join(map(pb.LogLevel.Name, LEVELS))}"
    raise InvalidRequestError([FieldViolation("level", wanted)])
