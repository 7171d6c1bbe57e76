"""From what gRPC raises to what this package raises."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from lstmserve_client import errors

Detail = TypeVar("Detail", bound=Message)

_REQUEST_ID_KEY = "x-request-id"
_ERROR_OF_CODE: dict[grpc.StatusCode, type[errors.LstmserveError]] = {
    grpc.StatusCode.UNAUTHENTICATED: errors.UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDeniedError,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceededError,
    grpc.StatusCode.FAILED_PRECONDITION: errors.ResumeError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.OverloadedError,
    grpc.StatusCode.UNAVAILABLE: errors.UnavailableError,
    grpc.StatusCode.CANCELLED: errors.RequestCancelledError,
}
_ERROR_OF_REASON: dict[str | None, type[errors.LstmserveError]] = {
    "NOT_CACHED": errors.NotCachedError,  # all else that is not found is a model
    "MODEL_LOAD_FAILED": errors.ModelStateError,  # the rest of its code is about resuming
    "MODEL_NEEDED": errors.ModelStateError,
    "POISONED_REQUEST": errors.PoisonedRequestError,
}
# as gRPC says it on either side; it would be again
_TOO_LARGE = ("message larger than max", "metadata size exceeds")
# what gRPC and proxies say when a connection breaks in the middle of a call; a server of ours
# gives a reason with every status of its own
_LOST = frozenset({grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})


def error_from_rpc(
    rpc_error: grpc.RpcError, *, request_id: str | None = None
) -> errors.LstmserveError:
    """The exception for a failed call, with what its status details tell.

    ``request_id`` is used when the status itself names none.
    """
    details = _Details(_status_of(rpc_error))
    code = rpc_error.code()
    message = rpc_error.details() or code.name
    request_id = details.request_id or request_id
    reason = details.reason
    match code:
        case grpc.StatusCode.INVALID_ARGUMENT:
            return errors.InvalidRequestError(
                message, violations=details.violations, request_id=request_id, reason=reason
            )
        case grpc.StatusCode.NOT_FOUND if reason not in _ERROR_OF_REASON:
            return errors.ModelNotFoundError(
                message, resource=details.resource, request_id=request_id, reason=reason
            )
        case grpc.StatusCode.RESOURCE_EXHAUSTED if reason is None and _is_too_large(message):
            return errors.InvalidRequestError(message, request_id=request_id)
    kind = _ERROR_OF_REASON.get(reason) or _ERROR_OF_CODE.get(code, errors.ServerError)
    if reason is None and code in _LOST:
        kind = errors.UnavailableError
    return kind(
        message,
        request_id=request_id,
        reason=reason,
        retry_delay_seconds=details.retry_delay_seconds,
    )


@contextmanager
def raises_own_errors(request_id: str, is_closed: Callable[[], bool]) -> Iterator[None]:
    """Around what gRPC does for a call: what leaves the block is a ``LstmserveError``.

    ``is_closed`` tells whether the client ended the call itself, by closing.
    """
    try:
        yield
    except (grpc.RpcError, grpc.FutureCancelledError, ValueError) as error:
        if is_closed():
            raise errors.RequestCancelledError(
                "the client was closed", request_id=request_id
            ) from error
        if not isinstance(error, grpc.RpcError):
            raise
        own = error_from_rpc(error, request_id=request_id)
        own.was_accepted = _was_accepted(error)
        raise own from error


def _is_too_large(message: str) -> bool:
    return any(each in message for each in _TOO_LARGE)


def _was_accepted(rpc_error: grpc.RpcError) -> bool:
    """Servers of ours tell the request's id as soon as they have taken it."""
    metadata = cast("grpc.Call", rpc_error).initial_metadata() or ()
    return any(key == _REQUEST_ID_KEY for key, _ in metadata)


def _status_of(rpc_error: grpc.RpcError) -> status_pb2.Status:
    """The rich status, empty where there is none or where it cannot be trusted."""
    try:
        # whatever grpc raises for a call is that call as well
        status = rpc_status.from_call(cast("grpc.Call", rpc_error))
    except (ValueError, DecodeError):  # a proxy rewrote the code, or mangled the trailer
        status = None
    return status or status_pb2.Status()


class _Details:
    """Reads the details of one status; each is absent more often than not."""

    def __init__(self, status: status_pb2.Status) -> None:
        self._details = status.details

    @property
    def request_id(self) -> str | None:
        return self._find(error_details_pb2.RequestInfo()).request_id or None

    @property
    def reason(self) -> str | None:
        return self._find(error_details_pb2.ErrorInfo()).reason or None

    @property
    def resource(self) -> str | None:
        return self._find(error_details_pb2.ResourceInfo()).resource_name or None

    @property
    def retry_delay_seconds(self) -> float | None:
        info = self._find(error_details_pb2.RetryInfo())
        if not info.HasField("retry_delay"):
            return None
        return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)

    @property
    def violations(self) -> list[errors.FieldViolation]:
        found = self._find(error_details_pb2.BadRequest()).field_violations
        return [errors.FieldViolation(each.field, each.description) for each in found]

    def _find(self, detail: Detail) -> Detail:
        """Fill ``detail`` from the packed message of its type, if there is one."""
        for packed in self._details:
            packed.Unpack(detail)  # does nothing for another type
        return detail
