"""Who may ask what: keeps other sites that a browser has open from using it against us."""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import urlsplit
from wsgiref.types import WSGIEnvironment

from lstmserve_server.config import is_loopback
from lstmserve_server.page.answer import RefusedError

JSON = "application/json"
# far more than any model reads; a limit of its own, because threads hold it in memory
MAX_BODY_BYTES = 256 << 10
# what of an Authorization header goes on to the gRPC server: never the password of a proxy
BEARER = re.compile(r"bearer [!-~]{1,512}", re.IGNORECASE)
# of Sec-Fetch-Site: our own page, or a person who typed the address
OWN_SITES = ("same-origin", "none")


def check_host(environ: WSGIEnvironment) -> None:
    """Raise RefusedError unless the browser knows us by a loopback name.

    Any site's name can be made to lead to 127.0.0.1 (DNS rebinding), and then that site's
    scripts count as ours.
    """
    host = _host_of(f"//{environ.get('HTTP_HOST', '')}")
    if not is_loopback(host):
        raise RefusedError(
            HTTPStatus.FORBIDDEN,
            "the page is served under localhost and loopback addresses only; "
            "to be reached by another name it needs --page on",
        )


def check_origin(environ: WSGIEnvironment) -> None:
    """Raise RefusedError when another site's page asks."""
    site = environ.get("HTTP_SEC_FETCH_SITE", "none")
    origin = environ.get("HTTP_ORIGIN")
    is_foreign = origin is not None and _place_of(origin) != environ.get("HTTP_HOST")
    if site not in OWN_SITES or is_foreign:
        raise RefusedError(HTTPStatus.FORBIDDEN, "this is for the server's own page only")


def read_json(environ: WSGIEnvironment) -> bytes:
    """The body of a request that says it is JSON, unread. Raises RefusedError.

    Forms, which browsers send to any site unasked, cannot be of this type.
    """
    if environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() != JSON:
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type must be {JSON}")
    length = environ.get("CONTENT_LENGTH", "")
    if not (length.isascii() and length.isdigit()):
        raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "Content-Length must say how much it is")
    if len(length) > len(str(MAX_BODY_BYTES)) or int(length) > MAX_BODY_BYTES:
        raise RefusedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BODY_BYTES} bytes are read"
        )
    body: bytes = environ["wsgi.input"].read(int(length))
    if len(body) < int(length):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the body ended early")
    return body


def read_authorization(environ: WSGIEnvironment) -> str:
    """The bearer token that the browser sends along, with its scheme; empty without one."""
    header: str = environ.get("HTTP_AUTHORIZATION", "")
    return header if BEARER.fullmatch(header) else ""


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # no address at all
        return ""


def _place_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
