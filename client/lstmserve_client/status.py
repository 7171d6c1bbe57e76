"""From what gRPC raises to what this package raises."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from lstmserve_client import errors
from lstmserve_client.types import ServingStatus

Detail = TypeVar("Detail", bound=Message)

_NOT_CACHED = "NOT_CACHED"  # all else that is not found is a model
_MODEL_STATES = frozenset({"MODEL_LOAD_FAILED", "MODEL_NEEDED"})  # the rest is about resuming
_ERROR_OF_CODE: dict[grpc.StatusCode, type[errors.LstmserveError]] = {
    grpc.StatusCode.UNAUTHENTICATED: errors.UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDeniedError,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceededError,
    grpc.StatusCode.FAILED_PRECONDITION: errors.ResumeError,
    grpc.StatusCode.CANCELLED: errors.RequestCancelledError,
}


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
        case grpc.StatusCode.NOT_FOUND if reason == _NOT_CACHED:
            return errors.NotCachedError(message, request_id=request_id, reason=reason)
        case grpc.StatusCode.NOT_FOUND:
            return errors.ModelNotFoundError(
                message, resource=details.resource, request_id=request_id, reason=reason
            )
        case grpc.StatusCode.FAILED_PRECONDITION if reason in _MODEL_STATES:
            return errors.ModelStateError(message, request_id=request_id, reason=reason)
        case grpc.StatusCode.RESOURCE_EXHAUSTED | grpc.StatusCode.UNAVAILABLE:
            busy = code is grpc.StatusCode.RESOURCE_EXHAUSTED
            return (errors.OverloadedError if busy else errors.UnavailableError)(
                message,
                retry_delay_seconds=details.retry_delay_seconds,
                request_id=request_id,
                reason=reason,
            )
    kind = _ERROR_OF_CODE.get(code, errors.ServerError)
    return kind(message, request_id=request_id, reason=reason)


@contextmanager
def raises_own_errors() -> Iterator[None]:
    """Around a unary call: what leaves the block is a ``LstmserveError``."""
    try:
        yield
    except grpc.RpcError as error:
        raise error_from_rpc(error) from error


def health_of_error(rpc_error: grpc.RpcError) -> ServingStatus:
    """What a failed health check says about the service; raises if it says nothing about it."""
    if rpc_error.code() is grpc.StatusCode.NOT_FOUND:  # how Check tells an unknown service
        return ServingStatus.SERVICE_UNKNOWN
    raise error_from_rpc(rpc_error) from rpc_error


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
