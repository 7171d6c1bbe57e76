"""One table from domain errors to gRPC statuses, with the details of google.rpc."""

from __future__ import annotations

from itertools import accumulate

import structlog
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from lstmserve_server.errors import (
    CacheUnavailableError,
    CallerShareError,
    ConcurrencyLimitError,
    DeadlineError,
    DeadlineInfeasibleError,
    DrainingError,
    EngineDeadError,
    FieldViolation,
    FormTooComplexError,
    InvalidRequestError,
    LstmserveError,
    ModelLoadError,
    ModelLoadingError,
    ModelNeededError,
    ModelNotFoundError,
    NotCachedError,
    NotServedError,
    PermissionDeniedError,
    PoisonedRequestError,
    QueueFullError,
    QueueTokensFullError,
    RateLimitError,
    ResumeMismatchError,
    UnauthenticatedError,
    UnavailableError,
)
from lstmserve_server.rpc.metadata import REQUEST_ID_KEY

log = structlog.get_logger()
DOMAIN = "lstmserve"
STATUS_DETAILS_KEY = "grpc-status-details-bin"
# a status travels in trailers, of which clients take 8 KiB: the message stands there twice,
# once percent-encoded, and a status that is too long arrives as another one
MAX_MESSAGE_BYTES = 1000
MAX_VIOLATIONS_BYTES = 2000
MAX_FIELD_BYTES = 300
MAX_DESCRIPTION_BYTES = 1000
MAX_NAME_BYTES = 500

# the most particular class of an error decides
CODES: dict[type[LstmserveError], tuple[StatusCode, str]] = {
    InvalidRequestError: (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    ModelNotFoundError: (StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
    ModelLoadError: (StatusCode.FAILED_PRECONDITION, "MODEL_LOAD_FAILED"),
    ModelNeededError: (StatusCode.FAILED_PRECONDITION, "MODEL_NEEDED"),
    NotCachedError: (StatusCode.NOT_FOUND, "NOT_CACHED"),
    NotServedError: (StatusCode.UNIMPLEMENTED, "NOT_SERVED"),
    ResumeMismatchError: (StatusCode.FAILED_PRECONDITION, "RESUME_MISMATCH"),
    QueueFullError: (StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL"),
    QueueTokensFullError: (StatusCode.RESOURCE_EXHAUSTED, "QUEUE_TOKENS_FULL"),
    CallerShareError: (StatusCode.RESOURCE_EXHAUSTED, "CALLER_SHARE"),
    FormTooComplexError: (StatusCode.INVALID_ARGUMENT, "CONSTRAINT_TOO_COMPLEX"),
    PoisonedRequestError: (StatusCode.INTERNAL, "POISONED_REQUEST"),
    UnauthenticatedError: (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    PermissionDeniedError: (StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"),
    RateLimitError: (StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMIT"),
    ConcurrencyLimitError: (StatusCode.RESOURCE_EXHAUSTED, "CONCURRENCY_LIMIT"),
    DeadlineError: (StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
    DeadlineInfeasibleError: (StatusCode.DEADLINE_EXCEEDED, "DEADLINE_INFEASIBLE"),
    CacheUnavailableError: (StatusCode.UNAVAILABLE, "CACHE_UNAVAILABLE"),
    DrainingError: (StatusCode.UNAVAILABLE, "DRAINING"),
    ModelLoadingError: (StatusCode.UNAVAILABLE, "MODEL_LOADING"),
    EngineDeadError: (StatusCode.UNAVAILABLE, "ENGINE_DEAD"),
    UnavailableError: (StatusCode.UNAVAILABLE, "UNAVAILABLE"),
}
BUG = (StatusCode.INTERNAL, "INTERNAL")


def to_status(error: BaseException, request_id: str) -> tuple[StatusCode, Status]:
    """Return the code and full status of an error; a bug's own text never leaves the server.

    Never raises: an error whose status cannot be built is a bug's.
    """
    code, reason = classify(error)
    if (code, reason) != BUG:
        try:
            return _build(code, reason, error, request_id)
        except Exception:  # whatever it is, the caller gets a status
            log.exception("a bug", request_id=request_id, error=type(error).__name__)
    bug = LstmserveError(f"internal error; quote request id {request_id} when reporting it")
    return _build(*BUG, bug, request_id)


def _build(
    code: StatusCode, reason: str, error: BaseException, request_id: str
) -> tuple[StatusCode, Status]:
    message = _shorten(str(error), MAX_MESSAGE_BYTES)
    details = [
        ErrorInfo(reason=reason, domain=DOMAIN),
        RequestInfo(request_id=request_id),
        *_details(error),
    ]
    return code, Status(code=code.value[0], message=message, details=map(_pack, details))


def to_trailers(status: Status, request_id: str) -> tuple[tuple[str, str | bytes], ...]:
    """Return the metadata that ends a call with this status."""
    return (
        (STATUS_DETAILS_KEY, status.SerializeToString()),
        (REQUEST_ID_KEY, request_id),
    )


def reason_of(status: Status) -> str:
    """Return the reason in the ErrorInfo of a status that was built here."""
    info = ErrorInfo()
    status.details[0].Unpack(info)
    return str(info.reason)


def classify(error: BaseException) -> tuple[StatusCode, str]:
    """Return the code of an error and the reason in its ErrorInfo."""
    kinds = (kind for kind in type(error).__mro__ if kind in CODES)
    kind = next(kinds, None)
    return BUG if kind is None else CODES[kind]


def _details(error: BaseException) -> list[Message]:
    match error:
        case InvalidRequestError():
            violations = [
                BadRequest.FieldViolation(field=item.field, description=item.description)
                for item in _first([_fit(item) for item in error.violations])
            ]
            return [BadRequest(field_violations=violations)]
        case ModelNotFoundError():
            name = _shorten(error.resource, MAX_NAME_BYTES)
            return [ResourceInfo(resource_type="model", resource_name=name)]
        case QueueFullError() | RateLimitError() | ConcurrencyLimitError() | UnavailableError():
            delay = Duration()
            delay.FromNanoseconds(round(error.retry_seconds * 1e9))
            return [RetryInfo(retry_delay=delay)]
        case _:
            return []


def _first(violations: list[FieldViolation]) -> list[FieldViolation]:
    """Return those that fit into a status; a caller who mends them is told of the rest."""
    sizes = accumulate(
        len(item.field.encode()) + len(item.description.encode()) for item in violations
    )
    num_fitting = sum(1 for size in sizes if size <= MAX_VIOLATIONS_BYTES)
    return violations[: max(1, num_fitting)]


def _fit(violation: FieldViolation) -> FieldViolation:
    return FieldViolation(
        _shorten(violation.field, MAX_FIELD_BYTES),
        _shorten(violation.description, MAX_DESCRIPTION_BYTES),
    )


def _shorten(text: str, max_bytes: int) -> str:
    """Cut text to so many bytes; half a surrogate pair, which JSON may hold, becomes a mark."""
    data = text.encode(errors="replace")
    short = data[:max_bytes].decode(errors="ignore")
    return short if len(data) <= max_bytes else f"{short}…"


def _pack(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
