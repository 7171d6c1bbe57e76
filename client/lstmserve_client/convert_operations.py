"""Between the operations service's messages and what a caller gives and gets. Pure functions."""

from lstmserve.v1 import operations_service_pb2 as pb
from lstmserve_client import types

_LOG_LEVELS = {
    pb.LOG_LEVEL_DEBUG: types.LogLevel.DEBUG,
    pb.LOG_LEVEL_INFO: types.LogLevel.INFO,
    pb.LOG_LEVEL_WARNING: types.LogLevel.WARNING,
    pb.LOG_LEVEL_ERROR: types.LogLevel.ERROR,
}
_NUMBERS = {level: number for number, level in _LOG_LEVELS.items()}


def log_level(number: pb.LogLevel.ValueType) -> types.LogLevel:
    return _LOG_LEVELS.get(number, types.LogLevel.UNKNOWN)


def set_log_level_request(level: types.LogLevel) -> pb.SetLogLevelRequest:
    """One that is unknown here is for the server to refuse."""
    return pb.SetLogLevelRequest(level=_NUMBERS.get(level, pb.LOG_LEVEL_UNSPECIFIED))
