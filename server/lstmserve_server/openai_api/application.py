"""The routes of OpenAI's API, as an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus

import grpc
import msgspec
import structlog
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from lstmserve_server.openai_api.body import ClientLeftError, refuse_browsers
from lstmserve_server.openai_api.endpoints import Endpoints
from lstmserve_server.openai_api.errors import ApiError, to_api_error
from lstmserve_server.openai_api.fields import PLACES
from lstmserve_server.rpc.metadata import REQUEST_ID_KEY, choose_request_id

Serve = Callable[[Request], Awaitable[Response]]
CLIENT_LEFT = 499  # as nginx counts them; nobody reads it
SERVED = "served are /v1/chat/completions, /v1/completions, /v1/models and /health"
LENGTH, TRANSFER = b"content-length", b"transfer-encoding"
TWO_ENDS = ApiError(
    400,
    "send one of Content-Length and Transfer-Encoding, the latter in HTTP/1.1 alone",
    code="invalid_http",
    headers={"connection": "close"},
)
log = structlog.get_logger()


def make_application(endpoints: Endpoints) -> Starlette:
    """Return the application; it lets no exception out."""
    routes = [
        Route("/v1/completions", _guarded(endpoints.complete), methods=["POST"]),
        Route("/v1/chat/completions", _guarded(endpoints.chat), methods=["POST"]),
        Route("/v1/models", _guarded(endpoints.list_models), methods=["GET"]),
        Route("/v1/models/{identifier:path}", _guarded(endpoints.get_model), methods=["GET"]),
        Route("/health", _guarded(endpoints.tell_health), methods=["GET"]),
    ]
    application = Starlette(routes=routes, exception_handlers={HTTPException: _answer_stray})
    application.router.redirect_slashes = False  # to wherever the Host header says
    application.add_middleware(OneEnd)
    return application


class OneEnd:
    """Refuses requests whose end two headers tell: what stands between this server and callers may
    go by the other one, and take what follows for a request of somebody else (RFC 9112, 6.1).
    """

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        application: ASGIApp = self._application
        names = {name for name, _ in scope["headers"]}
        if TRANSFER in names and (LENGTH in names or scope["http_version"] == "1.0"):
            application = _finish(
                answer_error(TWO_ENDS), choose_request_id(Headers(scope=scope).items())
            )
        await application(scope, receive, send)


def _guarded(serve: Serve) -> Serve:
    async def endpoint(request: Request) -> Response:
        request.state.request_id = choose_request_id(request.headers.items())
        try:
            refuse_browsers(request.headers)
            response = await serve(request)
        except ApiError as error:
            response = answer_error(error)
        except grpc.RpcError as error:
            response = answer_error(to_api_error(error, PLACES))
        except ClientLeftError:
            response = Response(status_code=CLIENT_LEFT)
        except Exception:  # whatever it is, the caller gets a status
            log.exception("a bug", api="openai", request_id=request.state.request_id)
            response = answer_error(_bug(request.state.request_id))
        return _finish(response, request.state.request_id)

    return endpoint


async def _answer_stray(request: Request, error: Exception) -> Response:
    """Answer where there is no route, or not for this method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - the only one this is called for
    phrase = HTTPStatus(error.status_code).phrase
    reason = f"{request.method} {request.scope['path'][:200]}: {phrase.lower()}; {SERVED}"
    code = phrase.lower().replace(" ", "_")
    headers = error.headers or {}
    answer = answer_error(ApiError(error.status_code, reason, code=code, headers=headers))
    return _finish(answer, choose_request_id(request.headers.items()))


def answer_json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def answer_error(error: ApiError) -> Response:
    response = answer_json(error.body, error.status)
    response.headers.update(error.headers)
    return response


def _finish(response: Response, request_id: str) -> Response:
    response.headers[REQUEST_ID_KEY] = request_id
    response.headers["date"] = formatdate(usegmt=True)
    response.headers["cache-control"] = "no-store"
    response.headers["x-content-type-options"] = "nosniff"
    return response


def _bug(request_id: str) -> ApiError:
    message = f"internal error; quote request id {request_id} when reporting it"
    return ApiError(500, message, code="internal")
