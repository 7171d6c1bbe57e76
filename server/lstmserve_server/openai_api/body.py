"""What comes with a request: from whom it may come, and how much of it is read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeVar

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from lstmserve_server.json_objects import read_object
from lstmserve_server.openai_api.errors import ApiError

T = TypeVar("T")
JSON, PLAIN = "application/json", "identity"
# far more than any model reads
MAX_BODY_BYTES = 256 << 10
# bodies longer than the first are read so many at a time: whoever sends them is not known yet
SMALL_BODY_BYTES = 64 << 10
MAX_LARGE_BODIES = 32


class ClientLeftError(Exception):
    """Nobody waits for the response any more."""


def refuse_browsers(headers: Headers) -> None:
    """Raise ApiError for what a page in a browser sends: any site that is open there could.

    Names of other sites can be made to lead to a loopback address (DNS rebinding).
    """
    if "origin" in headers or headers.get("sec-fetch-site", "none") != "none":
        raise ApiError(
            403, "this is for programs, and no page in a browser may ask it", code="browser"
        )


class BodyReader:
    """Reads bodies, of which only so many may be large at the same time."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(MAX_LARGE_BODIES)

    async def read(self, request: Request) -> dict[str, Any]:
        """Return the JSON object that a request is. Raises ApiError, or ClientLeftError."""
        _check_type(request.headers)
        try:
            async with self._place(request.headers):
                return _parse(await _read_bounded(request))
        except ClientDisconnect:
            raise ClientLeftError from None

    def _place(self, headers: Headers) -> AbstractAsyncContextManager[Any]:
        """Return a place for a body that is large, or does not say how large it is."""
        length = headers.get("content-length")
        is_small = length is not None and int(length) <= SMALL_BODY_BYTES
        return nullcontext() if is_small else self._places


def _check_type(headers: Headers) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:  # which no form of another site can be of
        raise ApiError(415, f"Content-Type must be {JSON}", code="unsupported_media_type")
    if headers.get("content-encoding", PLAIN).lower() != PLAIN:
        reason = "Content-Encoding is not served; send JSON as it is"
        raise ApiError(415, reason, code="unsupported_media_type")


async def _read_bounded(request: Request) -> bytes:
    # up to twenty digits, or h11 would have refused it
    if int(request.headers.get("content-length", "0")) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
    return bytes(body)


def _too_large() -> ApiError:
    return ApiError(413, f"at most {MAX_BODY_BYTES} bytes are read; send less", code="too_large")


def _parse(body: bytes) -> dict[str, Any]:
    try:
        return read_object(body)
    except ValueError as error:
        raise ApiError(400, str(error), code="invalid_json") from None


async def unless_left(receive: Receive, work: Awaitable[T]) -> T:
    """Return what it does; canceled, with ClientLeftError, as soon as the client hangs up."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_leave(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientLeftError
    finally:
        for task in (working, leaving):
            task.cancel()


async def _leave(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
