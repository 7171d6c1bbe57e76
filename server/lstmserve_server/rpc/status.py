"""One table from domain errors to gRPC statuses, with the details of google.rpc."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from lstmserve_server.errors import (
    DrainingError,
    EngineDeadError,
    InvalidRequestError,
    LstmserveError,
    ModelNotFoundError,
    NotServedError,
    QueueFullError,
    ResumeMismatchError,
    UnavailableError,
)

DOMAIN = "lstmserve"

# the most particular class of an error decides
CODES: dict[type[LstmserveError], tuple[StatusCode, str]] = {
    InvalidRequestError: (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    ModelNotFoundError: (StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
    NotServedError: (StatusCode.UNIMPLEMENTED, "NOT_SERVED"),
    ResumeMismatchError: (StatusCode.FAILED_PRECONDITION, "RESUME_MISMATCH"),
    QueueFullError: (StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL"),
    DrainingError: (StatusCode.UNAVAILABLE, "DRAINING"),
    EngineDeadError: (StatusCode.UNAVAILABLE, "ENGINE_DEAD"),
    UnavailableError: (StatusCode.UNAVAILABLE, "UNAVAILABLE"),
}
BUG = (StatusCode.INTERNAL, "INTERNAL")


def to_status(error: BaseException, request_id: str) -> tuple[StatusCode, Status]:
    """The code and the full status of an error; a bug's own text never leaves the server."""
    code, reason = _classify(error)
    message = str(error)
    if code is StatusCode.INTERNAL:
        message = f"internal error; quote request id {request_id} when reporting it"
    details = [
        ErrorInfo(reason=reason, domain=DOMAIN),
        RequestInfo(request_id=request_id),
        *_details(error),
    ]
    return code, Status(code=code.value[0], message=message, details=map(_pack, details))


def _classify(error: BaseException) -> tuple[StatusCode, str]:
    kinds = (kind for kind in type(error).__mro__ if kind in CODES)
    kind = next(kinds, None)
    return BUG if kind is None else CODES[kind]


def _details(error: BaseException) -> list[Message]:
    match error:
        case InvalidRequestError():
            violations = [
                BadRequest.FieldViolation(field=item.field, description=item.description)
                for item in error.violations
            ]
            return [BadRequest(field_violations=violations)]
        case ModelNotFoundError():
            return [ResourceInfo(resource_type="model", resource_name=error.resource)]
        case QueueFullError() | UnavailableError():
            delay = Duration()
            delay.FromNanoseconds(round(error.retry_seconds * 1e9))
            return [RetryInfo(retry_delay=delay)]
        case _:
            return []


def _pack(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
