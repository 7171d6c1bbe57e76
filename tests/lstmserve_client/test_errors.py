"""Every failure of a call is this package's own exception."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as details

from lstmserve_client import (
    Chunk,
    Completion,
    DeadlineExceededError,
    FieldViolation,
    InvalidRequestError,
    LstmserveError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PoisonedRequestError,
    RequestCancelledError,
    ResumeError,
    ServerError,
    Started,
    UnauthenticatedError,
    UnavailableError,
    VersionGoneError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.fake_server import FakeServer

KIND_OF_CODE = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.NOT_FOUND: ModelNotFoundError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: OverloadedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
    grpc.StatusCode.FAILED_PRECONDITION: ResumeError,
    grpc.StatusCode.CANCELLED: RequestCancelledError,
    grpc.StatusCode.INTERNAL: ServerError,
    grpc.StatusCode.UNIMPLEMENTED: ServerError,
    grpc.StatusCode.UNKNOWN: ServerError,
    grpc.StatusCode.ABORTED: ServerError,
    grpc.StatusCode.ALREADY_EXISTS: ServerError,
    grpc.StatusCode.OUT_OF_RANGE: ServerError,
    grpc.StatusCode.DATA_LOSS: ServerError,
}
INFO = details.ErrorInfo(reason="SOME_REASON", domain="lstmserve")
REQUEST = details.RequestInfo(request_id="req-2")


def failure_of(call: Callable[..., Any], method: str) -> LstmserveError:
    with pytest.raises(LstmserveError) as raised:
        call(method, "hi", request_id="mine")
    return raised.value


def test_every_code_but_ok_has_its_kind() -> None:
    assert set(KIND_OF_CODE) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


@pytest.mark.parametrize(("code", "kind"), KIND_OF_CODE.items(), ids=str)
def test_a_code_becomes_its_kind(
    call: Callable[..., Any],
    fake: FakeServer,
    code: grpc.StatusCode,
    kind: type[LstmserveError],
) -> None:
    fake.events = []
    fake.fail(code, "why", INFO, REQUEST)
    for method in ("generate", "reply", "models"):
        if method == "models":
            with pytest.raises(kind):
                call("models")
            continue
        error = failure_of(call, method)
        assert type(error) is kind
        assert (str(error), error.reason, error.request_id) == ("why", "SOME_REASON", "req-2")


def test_wrong_fields_are_named(call: Callable[..., Any], fake: FakeServer) -> None:
    wrong = details.BadRequest()
    wrong.field_violations.add(field="sampling.top_p", description="must be in (0, 1]")
    wrong.field_violations.add(field="prompt", description="must not be empty")
    fake.fail(grpc.StatusCode.INVALID_ARGUMENT, "2 fields", wrong, INFO)
    error = failure_of(call, "reply")
    assert isinstance(error, InvalidRequestError)
    assert error.violations == [
        FieldViolation("sampling.top_p", "must be in (0, 1]"),
        FieldViolation("prompt", "must not be empty"),
    ]


def test_what_was_not_found_is_named(call: Callable[..., Any], fake: FakeServer) -> None:
    resource = details.ResourceInfo(resource_type="model", resource_name="support-xx")
    fake.fail(grpc.StatusCode.NOT_FOUND, "no such model", resource)
    error = failure_of(call, "reply")
    assert isinstance(error, ModelNotFoundError)
    assert error.resource == "support-xx"


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE], ids=str
)
def test_the_delay_before_a_retry_is_told(
    call: Callable[..., Any], fake: FakeServer, code: grpc.StatusCode
) -> None:
    fake.fail(code, "later", details.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000)))
    error = failure_of(call, "reply")
    assert isinstance(error, OverloadedError | UnavailableError)
    assert error.retry_delay_seconds == 1.5
    fake.fail(code, "later")
    error = failure_of(call, "reply")
    assert isinstance(error, OverloadedError | UnavailableError)
    assert error.retry_delay_seconds is None


@pytest.mark.parametrize("method", ["generate", "reply"])
def test_a_request_that_ends_engines_is_asked_once(
    call: Callable[..., Any], fake: FakeServer, method: str
) -> None:
    fake.events = []
    reason = details.ErrorInfo(reason="POISONED_REQUEST", domain="lstmserve")
    fake.fail(grpc.StatusCode.INTERNAL, "do not repeat it", reason, REQUEST)
    error = failure_of(call, method)
    assert type(error) is PoisonedRequestError
    assert (error.reason, error.request_id) == ("POISONED_REQUEST", "req-2")
    assert len(fake.requests) == 1


def test_a_failure_in_mid_stream_knows_its_request(
    call: Callable[..., Any], fake: FakeServer
) -> None:
    fake.events = fake.events[:2]
    fake.fail(grpc.StatusCode.UNAVAILABLE, "engine died")
    error = failure_of(call, "generate")
    assert (error.request_id, error.received_tokens) == ("mine", 1)


def test_a_failure_after_the_completion_is_a_failure(
    call: Callable[..., Any], fake: FakeServer
) -> None:
    fake.fail(grpc.StatusCode.INTERNAL, "internal error")
    assert isinstance(failure_of(call, "generate"), ServerError)


def test_a_connection_that_breaks_after_the_completion_takes_nothing_away(
    call: Callable[..., Any], fake: FakeServer
) -> None:
    fake.lose()
    assert [type(event) for event in call("generate", "hi")] == [Started, Chunk, Chunk, Completion]


@pytest.mark.parametrize(
    "code",
    [grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED],
    ids=str,
)
def test_a_status_that_no_server_gave_a_reason_for_is_a_lost_connection(
    call: Callable[..., Any], fake: FakeServer, code: grpc.StatusCode
) -> None:
    fake.lose(code)
    error = failure_of(call, "reply")
    assert (type(error), error.reason, error.request_id) == (UnavailableError, None, "mine")


@pytest.mark.parametrize("method", ["generate", "reply"])
def test_a_message_that_is_too_large_is_not_sent_again(
    call: Callable[..., Any], fake: FakeServer, method: str
) -> None:
    with pytest.raises(InvalidRequestError, match=r"^prompt: the request has"):
        call(method, "x" * (5 << 20))
    assert fake.requests == []


def test_metadata_that_is_too_large_is_not_sent_again(
    call: Callable[..., Any], fake: FakeServer
) -> None:
    with pytest.raises(InvalidRequestError, match="metadata size exceeds"):
        call("reply", "hi", metadata={"x-much": "x" * 20_000})
    assert fake.requests == []


def test_a_reply_that_is_too_large_is_the_requests_fault(
    call: Callable[..., Any], fake: FakeServer
) -> None:
    fake.reply.text = "x" * (5 << 20)
    with pytest.raises(InvalidRequestError, match="larger than max"):
        call("reply", "hi")


def test_a_version_that_goes_in_mid_stream_is_named(
    call: Callable[..., Any], fake: FakeServer
) -> None:
    fake.events = fake.events[:2]
    fake.fail(grpc.StatusCode.NOT_FOUND, "no such version")
    error = failure_of(call, "generate")
    assert isinstance(error, VersionGoneError)
    assert (error.resource, error.received_tokens) == ("support-en version 3", 1)


def test_every_call_has_a_name_of_its_own(call: Callable[..., Any], fake: FakeServer) -> None:
    fake.fail(grpc.StatusCode.PERMISSION_DENIED, "no")
    names = set()
    for _ in range(2):
        with pytest.raises(PermissionDeniedError) as raised:
            call("reply", "hi")
        names.add(raised.value.request_id)
    assert len(names - {None}) == 2


@pytest.mark.parametrize("trailer", [b"\xff\xff", b"\x08\x0d"], ids=["garbage", "another code"])
def test_details_that_cannot_be_trusted_are_left_out(
    call: Callable[..., Any], fake: FakeServer, trailer: bytes
) -> None:
    fake.fail(grpc.StatusCode.NOT_FOUND, "no such model", REQUEST)
    fake.failure = fake.failure._replace(  # type: ignore[union-attr]  # a named tuple
        trailing_metadata=(("grpc-status-details-bin", trailer),)
    )
    error = failure_of(call, "reply")
    assert (type(error), str(error), error.request_id) == (
        ModelNotFoundError,
        "no such model",
        "mine",
    )


def test_errors_travel_between_processes() -> None:
    error = InvalidRequestError("no", violations=[FieldViolation("prompt", "x")], request_id="r")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.violations, again.request_id) == ("no", error.violations, "r")


def test_an_error_whose_text_was_made_clearer_is_the_same_in_another_process() -> None:
    error = DeadlineExceededError("Deadline Exceeded", request_id="id-1")
    error.message = "no reply within 2 s"
    error.received_tokens = 3
    copied = pickle.loads(pickle.dumps(error))
    assert (str(error), str(copied)) == ("no reply within 2 s",) * 2
    assert (copied.request_id, copied.received_tokens) == ("id-1", 3)
