"""Errors as OpenAI's API tells them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc import StatusCode
from grpc_status import rpc_status

from lstmserve_server.errors import FieldViolation
from lstmserve_server.openai_api.words import rename, reword

# as google/rpc/code.proto says
STATUSES: Mapping[StatusCode, int] = {
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.FAILED_PRECONDITION: 400,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.UNAUTHENTICATED: 401,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ABORTED: 409,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DEADLINE_EXCEEDED: 504,
}
TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
INVALID, FAILED = "invalid_request_error", "server_error"
FIRST_OF_SERVER = 500
OUT_OF_REACH = "this server is shutting down, or has been cut off; ask another one, or again"
RETRY_SECONDS = 1.0


class ApiError(Exception):
    """A request is refused, or has failed."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        retry_seconds: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self._retry_seconds = retry_seconds
        self._headers = headers or {}

    @property
    def body(self) -> dict[str, Any]:
        kind = FAILED if self.status >= FIRST_OF_SERVER else INVALID
        return {
            "error": {
                "message": str(self),
                "type": TYPES.get(self.status, kind),
                "param": self.param,
                "code": self.code,
            }
        }

    @property
    def headers(self) -> dict[str, str]:
        found = dict(self._headers)
        if self.status == 401:  # noqa: PLR2004 - RFC 9110 wants a challenge with it
            found["www-authenticate"] = "Bearer"
        if self._retry_seconds is not None:
            # whole seconds by RFC 9110; OpenAI's clients read milliseconds first
            found["retry-after"] = str(max(1, math.ceil(self._retry_seconds)))
            found["retry-after-ms"] = str(math.ceil(self._retry_seconds * 1000))
        return found


def refuse_fields(violations: list[FieldViolation]) -> ApiError:
    """Return the error of fields that cannot be served; ``param`` is the first of them."""
    message = "; ".join(f"{item.field}: {item.description}" for item in violations)
    return ApiError(400, message, code="invalid_request", param=violations[0].field)


def to_api_error(
    error: grpc.RpcError, places: Mapping[str, str], counts: Mapping[str, int] | None = None
) -> ApiError:
    """Return what a call has failed with; ``places`` are the caller's names of our fields, and
    ``counts`` the numbers that were sent in them.
    """
    call = cast("grpc.Call", error)  # whatever grpc raises for a call is that call as well
    status = rpc_status.from_call(call)
    found = BadRequest(), ErrorInfo(), RetryInfo()
    for detail in () if status is None else status.details:
        for message in found:
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)
    bad, info, retry = found
    if not info.reason:  # of grpc itself, whose words are not for callers
        return ApiError(503, OUT_OF_REACH, code="unavailable", retry_seconds=RETRY_SECONDS)
    if bad.field_violations:
        return refuse_fields([rename(item, places, counts or {}) for item in bad.field_violations])
    return ApiError(
        STATUSES.get(call.code(), 500),
        reword(str(call.details())),
        code=info.reason.lower(),
        param="model" if info.reason == "MODEL_NOT_FOUND" else None,
        retry_seconds=_to_seconds(retry.retry_delay) if retry.HasField("retry_delay") else None,
    )


def _to_seconds(duration: Duration) -> float:
    return duration.ToNanoseconds() / 1e9
