"""The log level of a server: read and set from both clients and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2 as details

from lstmserve.v1 import operations_service_pb2 as pb
from lstmserve_client import InvalidRequestError, LogLevel

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Lstmserve
    from support.fake_server import FakeServer

LEVELS = [
    (LogLevel.DEBUG, pb.LOG_LEVEL_DEBUG),
    (LogLevel.INFO, pb.LOG_LEVEL_INFO),
    (LogLevel.WARNING, pb.LOG_LEVEL_WARNING),
    (LogLevel.ERROR, pb.LOG_LEVEL_ERROR),
]


@pytest.mark.parametrize(("level", "number"), LEVELS)
def test_a_level_is_set_and_told(
    call: Callable[..., Any], fake: FakeServer, level: LogLevel, number: pb.LogLevel.ValueType
) -> None:
    fake.log_level = pb.LOG_LEVEL_WARNING
    assert call("set_log_level", level) is LogLevel.WARNING
    assert fake.log_level == number
    assert call("log_level") is level


def test_a_level_of_a_newer_server_is_unknown(call: Callable[..., Any], fake: FakeServer) -> None:
    fake.log_level = 99  # type: ignore[assignment]
    assert call("log_level") is LogLevel.UNKNOWN


def test_what_the_server_refuses_is_told_by_field(
    call: Callable[..., Any], fake: FakeServer
) -> None:
    violation = details.BadRequest.FieldViolation(field="level", description="must be one of four")
    refusal = details.BadRequest(field_violations=[violation])
    fake.fail(grpc.StatusCode.INVALID_ARGUMENT, "level: must be one of four", refusal)
    with pytest.raises(InvalidRequestError) as caught:
        call("set_log_level", LogLevel.UNKNOWN)
    assert [each.field for each in caught.value.violations] == ["level"]


def test_the_command_prints_the_level_in_force(lstmserve: Lstmserve, fake: FakeServer) -> None:
    assert lstmserve("log-level").stdout == "INFO\n"
    result = lstmserve("log-level", "debug")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "DEBUG\n", "")
    assert fake.log_level == pb.LOG_LEVEL_DEBUG


def test_the_command_refuses_what_is_no_level(lstmserve: Lstmserve, fake: FakeServer) -> None:
    result = lstmserve("log-level", "loud")
    assert result.exit_code == 2
    assert "loud" in result.stderr
    assert fake.log_level == pb.LOG_LEVEL_INFO
