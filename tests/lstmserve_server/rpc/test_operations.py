"""The log level of a running server, changed over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest

from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import generation_service_pb2 as gen
from lstmserve.v1 import operations_service_pb2 as pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub
from lstmserve.v1.operations_service_pb2_grpc import OperationsServiceStub
from lstmserve_server.rpc.call import Call, RunningCall, current_call
from lstmserve_server.rpc.operations import OperationsServicer
from support.calls import connect, find_detail


class Talk:
    """Calls on a server, and its log."""

    def __init__(self, server: ServerProcess, channel: grpc.Channel) -> None:
        self.server = server
        self.operations = OperationsServiceStub(channel)
        self._generation = GenerationServiceStub(channel)

    def set(self, level: pb.LogLevel.ValueType) -> pb.LogLevel.ValueType:
        return self.operations.SetLogLevel(pb.SetLogLevelRequest(level=level)).previous_level

    def get(self) -> pb.LogLevel.ValueType:
        return self.operations.GetLogLevel(pb.GetLogLevelRequest()).level

    def generate(self, request_id: str) -> None:
        request = gen.GenerateReplyRequest(prompt="hello")
        self._generation.GenerateReply(request, metadata=(("x-request-id", request_id),))

    def end(self) -> list[dict[str, Any]]:
        """Stop the server; its whole log."""
        assert self.server.stop() == 0
        return self.server.read_entries()


@pytest.fixture
def talk(tiny_store: Path) -> Iterator[Talk]:
    with (
        ServerProcess(tiny_store, "--log-level", "WARNING") as server,
        connect(server.target) as channel,
    ):
        yield Talk(server, channel)


def test_a_level_holds_for_every_line_from_then_on(talk: Talk) -> None:
    assert talk.get() == pb.LOG_LEVEL_WARNING
    talk.generate("quiet")
    assert talk.set(pb.LOG_LEVEL_INFO) == pb.LOG_LEVEL_WARNING
    assert talk.get() == pb.LOG_LEVEL_INFO
    talk.generate("told")
    assert talk.set(pb.LOG_LEVEL_ERROR) == pb.LOG_LEVEL_INFO
    talk.generate("quiet again")
    log = talk.end()
    # the line of the call that sets a level is written after it
    assert [line["request_id"] for line in log if line.get("rpc") == "GenerateReply"] == ["told"]
    changes = [(line["previous"], line["level_set"]) for line in log if "previous" in line]
    assert changes == [("WARNING", "INFO"), ("INFO", "ERROR")]


@pytest.mark.parametrize("level", [pb.LOG_LEVEL_UNSPECIFIED, 99])
def test_what_is_no_level_is_refused_and_changes_nothing(
    talk: Talk, level: pb.LogLevel.ValueType
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        talk.set(level)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = find_detail(caught.value, BadRequest).field_violations
    assert violation.field == "level"
    assert "LOG_LEVEL_DEBUG" in violation.description
    assert talk.get() == pb.LOG_LEVEL_WARNING


class Levels:
    """Stands in for a process's log."""

    level = "INFO"

    def set_level(self, level: str) -> None:
        self.level = level


async def test_other_processes_can_be_told_of_a_level_that_is_in_force() -> None:
    levels, told = Levels(), []
    servicer = OperationsServicer(levels, lambda level: told.append((level, levels.level)))
    current_call.set(RunningCall(Call("SetLogLevel", "id")))
    await servicer.SetLogLevel(pb.SetLogLevelRequest(level=pb.LOG_LEVEL_DEBUG), None)
    assert told == [("DEBUG", "DEBUG")]
