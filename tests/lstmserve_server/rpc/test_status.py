"""Every error as callers see it: its code, its details, and no more than that."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import generation_service_pb2_grpc
from lstmserve_server import errors
from lstmserve_server.errors import FieldViolation, LstmserveError
from lstmserve_server.rpc.status import reason_of, to_status
from support.calls import Detail, find_detail

GenerationStub = generation_service_pb2_grpc.GenerationServiceStub

# what design and handbook say of every error: code, reason, and details beside the usual two
TABLE: list[tuple[LstmserveError, StatusCode, str, type[Message] | None]] = [
    (
        errors.InvalidRequestError([FieldViolation("a.b", "must not be")]),
        StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        BadRequest,
    ),
    (
        errors.ModelNotFoundError("no such model", "big/3"),
        StatusCode.NOT_FOUND,
        "MODEL_NOT_FOUND",
        ResourceInfo,
    ),
    (errors.NotCachedError("not there"), StatusCode.NOT_FOUND, "NOT_CACHED", None),
    (errors.NotServedError("later"), StatusCode.UNIMPLEMENTED, "NOT_SERVED", None),
    (
        errors.ResumeMismatchError("not mine"),
        StatusCode.FAILED_PRECONDITION,
        "RESUME_MISMATCH",
        None,
    ),
    (
        errors.QueueFullError("full", retry_seconds=2.5),
        StatusCode.RESOURCE_EXHAUSTED,
        "QUEUE_FULL",
        RetryInfo,
    ),
    (
        errors.QueueTokensFullError("full", retry_seconds=2.5),
        StatusCode.RESOURCE_EXHAUSTED,
        "QUEUE_TOKENS_FULL",
        RetryInfo,
    ),
    (
        errors.CallerShareError("full for you", retry_seconds=2.5),
        StatusCode.RESOURCE_EXHAUSTED,
        "CALLER_SHARE",
        RetryInfo,
    ),
    (
        errors.FormTooComplexError("too much"),
        StatusCode.INVALID_ARGUMENT,
        "CONSTRAINT_TOO_COMPLEX",
        None,
    ),
    (errors.PoisonedRequestError("twice"), StatusCode.INTERNAL, "POISONED_REQUEST", None),
    (errors.UnauthenticatedError(), StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", None),
    (
        errors.PermissionDeniedError("needs more"),
        StatusCode.PERMISSION_DENIED,
        "PERMISSION_DENIED",
        None,
    ),
    (
        errors.RateLimitError("too often", retry_seconds=2.5),
        StatusCode.RESOURCE_EXHAUSTED,
        "RATE_LIMIT",
        RetryInfo,
    ),
    (
        errors.ConcurrencyLimitError("too many", retry_seconds=2.5),
        StatusCode.RESOURCE_EXHAUSTED,
        "CONCURRENCY_LIMIT",
        RetryInfo,
    ),
    (errors.DeadlineError("late"), StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", None),
    (
        errors.DeadlineInfeasibleError("too late"),
        StatusCode.DEADLINE_EXCEEDED,
        "DEADLINE_INFEASIBLE",
        None,
    ),
    (
        errors.CacheUnavailableError("no Redis"),
        StatusCode.UNAVAILABLE,
        "CACHE_UNAVAILABLE",
        RetryInfo,
    ),
    (errors.ModelLoadError("bad"), StatusCode.FAILED_PRECONDITION, "MODEL_LOAD_FAILED", None),
    (errors.ModelTrialError("hm"), StatusCode.FAILED_PRECONDITION, "MODEL_LOAD_FAILED", None),
    (errors.NoProcessError("full"), StatusCode.FAILED_PRECONDITION, "MODEL_LOAD_FAILED", None),
    (errors.ModelNeededError("last"), StatusCode.FAILED_PRECONDITION, "MODEL_NEEDED", None),
    (errors.ModelLoadingError("soon"), StatusCode.UNAVAILABLE, "MODEL_LOADING", RetryInfo),
    (errors.DrainingError("bye"), StatusCode.UNAVAILABLE, "DRAINING", RetryInfo),
    (errors.PoisonedRequestError("ends"), StatusCode.INTERNAL, "POISONED_REQUEST", None),
    (errors.EngineDeadError("dead"), StatusCode.UNAVAILABLE, "ENGINE_DEAD", RetryInfo),
    (errors.CacheUnavailableError("away"), StatusCode.UNAVAILABLE, "CACHE_UNAVAILABLE", RetryInfo),
    (errors.UnavailableError("busy"), StatusCode.UNAVAILABLE, "UNAVAILABLE", RetryInfo),
]


def details_of(status: Status) -> list[Message]:
    kinds = (BadRequest, ErrorInfo, RequestInfo, ResourceInfo, RetryInfo)
    found: list[Message] = []
    for packed in status.details:
        (kind,) = [kind for kind in kinds if packed.Is(kind.DESCRIPTOR)]
        detail = kind()
        packed.Unpack(detail)
        found.append(detail)
    return found


def detail_of(error: BaseException, kind: type[Detail]) -> Detail:
    (found,) = [item for item in details_of(to_status(error, "id")[1]) if isinstance(item, kind)]
    return found


@pytest.mark.parametrize(("error", "code", "reason", "detail"), TABLE)
def test_an_error_has_its_code_its_reason_and_its_details(
    error: LstmserveError, code: StatusCode, reason: str, detail: type[Message] | None
) -> None:
    found, status = to_status(error, "my-id")
    assert found is code
    assert (status.code, status.message) == (code.value[0], str(error))
    info, request, *more = details_of(status)
    assert info == ErrorInfo(reason=reason, domain="lstmserve")
    assert request == RequestInfo(request_id="my-id")
    assert [type(item) for item in more] == ([detail] if detail else [])


def all_errors(kind: type[LstmserveError]) -> Iterator[type[LstmserveError]]:
    """The server's own; a test that ran before may have left some of its own."""
    for child in kind.__subclasses__():
        if child.__module__.startswith("lstmserve_server."):
            yield child
        yield from all_errors(child)


def test_every_error_that_a_request_can_meet_is_in_the_table() -> None:
    tested = {type(error) for error, *_ in TABLE}
    assert set(all_errors(LstmserveError)) - tested == {errors.StartupError, errors.NoThreadError}


def test_details_say_what_the_error_knows() -> None:
    invalid = errors.InvalidRequestError([FieldViolation("a", "1"), FieldViolation("b", "2")])
    fields = [
        (item.field, item.description) for item in detail_of(invalid, BadRequest).field_violations
    ]
    assert fields == [("a", "1"), ("b", "2")]
    missing = detail_of(errors.ModelNotFoundError("no", "big/3"), ResourceInfo)
    assert missing == ResourceInfo(resource_type="model", resource_name="big/3")
    retry = detail_of(errors.QueueFullError("full", retry_seconds=2.5), RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == 2500


def test_an_error_more_particular_than_the_table_has_the_code_of_its_kind() -> None:
    class FullOnSundayError(errors.QueueFullError):
        """One day there may be such a thing."""

    code, status = to_status(FullOnSundayError("full", retry_seconds=1), "id")
    assert code is StatusCode.RESOURCE_EXHAUSTED
    assert any(isinstance(item, RetryInfo) for item in details_of(status))


@given(
    text=st.text(min_size=1).map(lambda text: f"<{text}>"),
    kind=st.sampled_from(
        [RuntimeError, ValueError, KeyError, OSError, AssertionError, errors.StartupError]
    ),
)
def test_the_text_of_a_bug_never_leaves(text: str, kind: type[Exception]) -> None:
    code, status = to_status(kind(text), "my-id")
    assert code is StatusCode.INTERNAL
    assert text not in str(status)
    assert "my-id" in status.message
    assert [type(item) for item in details_of(status)] == [ErrorInfo, RequestInfo]


@given(
    st.lists(
        st.builds(FieldViolation, st.just("conversation.turns[1000].text"), st.text(max_size=300)),
        min_size=1,
        max_size=300,
    )
)
def test_a_status_fits_into_trailers_however_much_is_wrong(wrong: list[FieldViolation]) -> None:
    _, status = to_status(errors.InvalidRequestError(wrong), "i" * 64)
    assert detail_of(errors.InvalidRequestError(wrong), BadRequest).field_violations
    # percent-encoded, a byte of the message may take three
    assert 3 * len(status.message.encode()) + status.ByteSize() < 7500


@pytest.mark.parametrize("length", [10, 3000, 20_000, 500_000])
def test_a_very_long_model_name_is_not_found_all_the_same(
    generation: GenerationStub, length: int
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        generation.GenerateReply(pb.GenerateReplyRequest(model="é" * length, prompt="hi"))
    assert caught.value.code() is StatusCode.NOT_FOUND
    assert find_detail(caught.value, ResourceInfo).resource_name.startswith("é" * 10)


def test_a_conversation_with_a_hundred_wrong_turns_is_an_invalid_argument(
    generation: GenerationStub,
) -> None:
    wrong = pb.Conversation(turns=[pb.Turn()] * 100)
    with pytest.raises(grpc.RpcError) as caught:
        generation.GenerateReply(pb.GenerateReplyRequest(conversation=wrong))
    assert caught.value.code() is StatusCode.INVALID_ARGUMENT
    fields = [item.field for item in find_detail(caught.value, BadRequest).field_violations]
    assert "conversation.turns[0].text" in fields


class Unspeakable:
    """Of which no text can be had."""

    def __str__(self) -> str:
        raise ZeroDivisionError("secret")


def test_an_error_whose_status_cannot_be_built_is_a_bug() -> None:
    error = errors.ModelNotFoundError("no such model", 7)  # type: ignore[arg-type]
    for unbuildable in (errors.NotCachedError(Unspeakable()), error):
        code, status = to_status(unbuildable, "id-1")
        assert code is StatusCode.INTERNAL
        assert status.message == "internal error; quote request id id-1 when reporting it"
        assert reason_of(status) == "INTERNAL"


# trailers above 8 KiB never arrive, and the message stands there twice, in up to three bytes each
MOST_STATUS_BYTES = 8192 - 3 * 1003


@given(
    st.lists(
        st.builds(FieldViolation, *[st.text(st.characters(), max_size=2000)] * 2),
        min_size=1,
        max_size=60,
    )
)
def test_a_status_fits_into_trailers_whatever_is_told(violations: list[FieldViolation]) -> None:
    code, status = to_status(errors.InvalidRequestError(violations), "id-1")
    assert code is StatusCode.INVALID_ARGUMENT
    assert len(status.SerializeToString()) * 4 / 3 < MOST_STATUS_BYTES
    assert any(detail.Is(BadRequest.DESCRIPTOR) for detail in status.details)
