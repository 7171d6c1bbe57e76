"""A stream of requests inside the interceptor: what is told of each, and of the stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from lstmserve.open_inference import inference_service_pb2 as wire
from lstmserve_server.errors import (
    DrainingError,
    FieldViolation,
    InvalidRequestError,
    NotCachedError,
    UnauthenticatedError,
)
from lstmserve_server.gate import Gate
from lstmserve_server.rpc.call import Call, CallOutcome
from lstmserve_server.rpc.door import Door, OpenDoor
from lstmserve_server.rpc.interceptor import CallInterceptor

METHOD = "/inference.GRPCInferenceService/ModelStreamInfer"
SECRET = "what only the log may hold"


class PanicError(BaseException):
    """As what Rust's panics become, no Exception."""


class Unspeakable:
    """Of which no text can be had."""

    def __str__(self) -> str:
        raise ZeroDivisionError(SECRET)


class UnwritableMessage(wire.ModelStreamInferResponse if TYPE_CHECKING else object):
    """A response of which no bytes can be made."""

    def SerializeToString(self) -> bytes:  # noqa: N802 - a message's
        raise ValueError(SECRET)


class Ends:
    """Keeps the calls that ended, with their codes."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def on_call_end(self, call: Call, outcome: CallOutcome) -> None:
        self.calls.append((call.request_id, outcome.code))


class Caller:
    """The context of one stream."""

    def __init__(self, *metadata: tuple[str, str]) -> None:
        self._metadata = metadata
        self.told: list[tuple[str, str]] = []
        self.status: tuple[grpc.StatusCode, str] | None = None

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    async def send_initial_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self.told += metadata

    def time_remaining(self) -> None:
        return None

    async def abort(self, code: grpc.StatusCode, message: str, _: object) -> None:
        self.status = (code, message)
        raise grpc.aio.AbortError


async def serve(
    requests: AsyncIterator[wire.ModelInferRequest], _: object
) -> AsyncIterator[wire.ModelStreamInferResponse]:
    async for request in requests:
        if request.id == "bug":
            raise ZeroDivisionError(SECRET)
        if request.id == "panic":
            raise PanicError(SECRET)
        if request.id == "unspeakable":
            raise NotCachedError(Unspeakable())
        if request.id == "surrogate":
            raise InvalidRequestError([FieldViolation("in\ud800", "is \udfff wrong")])
        if request.id == "unwritable":
            yield UnwritableMessage()
        yield wire.ModelStreamInferResponse(infer_response={"id": request.id})


async def send(*ids: str) -> AsyncIterator[bytes]:
    for each in ids:
        yield wire.ModelInferRequest(id=each).SerializeToString()


async def make_stream(
    ends: Ends, gate: Gate, caller: Caller, door: Door | None = None
) -> Callable[..., AsyncIterator[wire.ModelStreamInferResponse]]:
    async def find(_: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return grpc.stream_stream_rpc_method_handler(serve)

    metadata = caller.invocation_metadata()
    details = SimpleNamespace(method=METHOD, invocation_metadata=metadata)
    handler = await CallInterceptor(gate, door or OpenDoor(), (ends,)).intercept_service(
        find, details
    )
    assert handler is not None
    served: Any = handler.stream_stream

    async def stream(
        requests: AsyncIterator[bytes], context: Caller
    ) -> AsyncIterator[wire.ModelStreamInferResponse]:
        async for data in served(requests, context):
            yield wire.ModelStreamInferResponse.FromString(data)

    return stream


async def test_every_request_is_a_call_and_a_bug_in_one_ends_no_other() -> None:
    ends, caller = Ends(), Caller(("x-request-id", "mine"))
    stream = await make_stream(ends, Gate(lambda: DrainingError("closed")), caller)
    responses = [response async for response in stream(send("a", "bug", "c"), caller)]
    assert sorted(ends.calls) == [("mine-1", "OK"), ("mine-2", "INTERNAL"), ("mine-3", "OK")]
    assert caller.told == [("x-request-id", "mine")]
    assert {response.infer_response.id for response in responses} == {"a", "bug", "c"}
    (error,) = [response.error_message for response in responses if response.error_message]
    assert error == (
        "[request id: bug] INTERNAL: internal error; quote request id mine-2 when reporting it"
    )


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ("panic", "INTERNAL"),
        ("unspeakable", "INTERNAL"),
        ("unwritable", "INTERNAL"),
        ("surrogate", "INVALID_ARGUMENT"),
    ],
)
async def test_what_cannot_be_told_or_written_fails_alone_and_is_counted_as_told(
    bad: str, code: str
) -> None:
    ends, caller = Ends(), Caller(("x-request-id", "mine"))
    stream = await make_stream(ends, Gate(lambda: DrainingError("closed")), caller)
    responses = [response async for response in stream(send("a", bad, "c"), caller)]
    assert sorted(ends.calls) == [("mine-1", "OK"), ("mine-2", code), ("mine-3", "OK")]
    (error,) = [response.error_message for response in responses if response.error_message]
    assert error.startswith(f"[request id: {bad}] {code}: ")
    assert SECRET not in error
    assert len(responses) == 3


async def test_a_closed_gate_refuses_requests_and_not_the_stream() -> None:
    gate = Gate(lambda: DrainingError("closed"))
    ends, caller = Ends(), Caller()
    stream = await make_stream(ends, gate, caller)
    gate.close()
    (response,) = [response async for response in stream(send("a"), caller)]
    assert response.error_message == "[request id: a] UNAVAILABLE: closed"
    assert response.infer_response.parameters["reason"].string_param == "DRAINING"
    assert caller.status is None


async def test_a_wrong_caller_id_is_told_for_every_request() -> None:
    ends, caller = Ends(), Caller(("x-caller-id", "not one!"))
    stream = await make_stream(ends, Gate(lambda: DrainingError("closed")), caller)
    (response,) = [response async for response in stream(send("a"), caller)]
    assert "INVALID_ARGUMENT: x-caller-id: must have 1 to 64" in response.error_message


async def test_bytes_that_are_no_request_fail_alone() -> None:
    async def mixed() -> AsyncIterator[bytes]:
        yield b"\xff\xff"
        yield wire.ModelInferRequest(id="b").SerializeToString()

    ends, caller = Ends(), Caller()
    stream = await make_stream(ends, Gate(lambda: DrainingError("closed")), caller)
    responses = [response async for response in stream(mixed(), caller)]
    assert sorted(code for _, code in ends.calls) == ["INVALID_ARGUMENT", "OK"]
    assert sorted(bool(response.error_message) for response in responses) == [False, True]


class ClosedDoor:
    """Lets nobody in."""

    def identify(self, _call: Call, _context: object) -> Call:
        raise UnauthenticatedError

    def admit(self, _call: Call, _context: object) -> AbstractContextManager[Call]:
        raise AssertionError

    def is_open_to(self, _call: Call, _context: object) -> bool:
        return False


async def test_a_stream_of_a_stranger_ends_and_nothing_of_it_is_read() -> None:
    ends, caller = Ends(), Caller()
    stream = await make_stream(ends, Gate(lambda: DrainingError("closed")), caller, ClosedDoor())

    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError
        yield b""

    with pytest.raises(grpc.aio.AbortError):
        async for _ in stream(unread(), caller):
            pass
    assert caller.status is not None
    assert caller.status[0] is grpc.StatusCode.UNAUTHENTICATED
    assert [code for _, code in ends.calls] == ["UNAUTHENTICATED"]


async def test_whoever_wants_a_status_gets_that_of_the_first_error() -> None:
    ends, caller = Ends(), Caller(("triton_grpc_error", "true"))
    stream = await make_stream(ends, Gate(lambda: DrainingError("closed")), caller)
    with pytest.raises(grpc.aio.AbortError):
        async for _ in stream(send("bug"), caller):
            pass
    assert caller.status is not None
    code, message = caller.status
    assert code is grpc.StatusCode.INTERNAL
    assert SECRET not in message


async def test_a_stream_that_cannot_be_read_ends_with_a_status_that_says_no_more() -> None:
    async def broken() -> AsyncIterator[bytes]:
        raise RuntimeError(SECRET)
        yield

    ends, caller = Ends(), Caller()
    stream = await make_stream(ends, Gate(lambda: DrainingError("closed")), caller)
    with pytest.raises(grpc.aio.AbortError):
        async for _ in stream(broken(), caller):
            pass
    assert caller.status is not None
    code, message = caller.status
    assert code is grpc.StatusCode.INTERNAL
    assert SECRET not in message
