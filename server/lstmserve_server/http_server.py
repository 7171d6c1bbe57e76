"""An HTTP server for WSGI: a thread for each request, and no client can hold one for ever.

It logs no requests, and nothing that goes wrong because a client is slow or gone. waitress,
cheroot and uvicorn set no bound to the time of a whole request (docs/log.md).
"""

from __future__ import annotations

import errno
import io
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socketserver import TCPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit
from wsgiref.handlers import SimpleHandler
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import WSGIApplication, WSGIEnvironment

import structlog

from lstmserve_server.config import Address
from lstmserve_server.errors import NoThreadError
from lstmserve_server.threads import start_thread

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

REQUEST_SECONDS = 10.0  # for a client to send its whole request
BLOCK_SECONDS = 10.0  # for a client to take one block of the answer
MAX_LINE_BYTES = 1 << 16
# a thread each; a Prometheus has one, a browser with the page some six
MAX_CONNECTIONS = 128
NO_FILES_SECONDS = 0.5  # until the next try to take a connection when no file can be opened
NO_FILES = {errno.EMFILE, errno.ENFILE}
CONNECTION_KEY = "lstmserve.connection"

EMPTY_LINES = (b"\r\n", b"\n")  # RFC 9112, 2.2
STOP_SECONDS = 0.1  # until ``stop`` is noticed; the base class lets half a second pass
Request = socket.socket | tuple[bytes, socket.socket]  # the base class serves datagrams too

log = structlog.get_logger()


class HttpServer(WSGIServer):
    """Answers as an application says, from ``start`` to ``stop``."""

    def __init__(self, address: Address, application: WSGIApplication) -> None:
        """Listen; raises OSError when the address cannot be used."""
        self.address_family, found = _resolve(address)
        super().__init__((found, address.port), _RequestHandler)
        self.set_app(application)
        self.address = Address(address.host, self.server_port)
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(STOP_SECONDS,), name="http", daemon=True
        )
        self._stopping = threading.Event()

    def server_bind(self) -> None:
        """As the base classes do it, but they ask DNS for the name of the address: it is in no
        answer of ours, and where nobody answers they wait ten seconds for it.
        """
        TCPServer.server_bind(self)
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)
        self.setup_environ()

    def start(self) -> None:
        start_thread(self._thread)

    def stop(self) -> None:
        """Take no further requests, and close the port."""
        self._stopping.set()
        self.shutdown()
        self.server_close()
        self._thread.join()

    def process_request(self, request: Request, client_address: object) -> None:
        """Answer on a thread of its own while there is a place; else hang up."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        try:
            start_thread(thread)
        except NoThreadError:  # one after the other, for as long as it lasts
            self.process_request_thread(request, client_address)

    def process_request_thread(self, request: Request, client_address: object) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception:  # noqa: BLE001 - it is logged, as the base class does
            self.handle_error(request, client_address)
        finally:
            self.shutdown_request(request)
            self._places.release()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take a connection, of which the base class forgives every failure."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in NO_FILES:  # it still waits, so the base class would be back at once
                self._stopping.wait(NO_FILES_SECONDS)
            raise

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """Log what is no fault of the client's."""
        _log_bug(sys.exc_info()[1])


@contextmanager
def while_connected(environ: WSGIEnvironment, on_left: Callable[[], object]) -> Iterator[None]:
    """Call ``on_left`` on another thread as soon as the client hangs up, or the block ends."""
    connection: socket.socket = environ[CONNECTION_KEY]
    watcher = threading.Thread(target=_await_end, args=(connection, on_left), daemon=True)
    try:
        start_thread(watcher)
    except NoThreadError:  # nobody notices if it leaves
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # the client has closed it already
            connection.shutdown(socket.SHUT_RD)  # to the watcher the same as a client that leaves
        watcher.join()


def _await_end(connection: socket.socket, on_left: Callable[[], object]) -> None:
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    poll.poll()
    on_left()


class _RequestHandler(WSGIRequestHandler):
    disable_nagle_algorithm = True  # pieces of a stream go out as they come
    default_request_version = "HTTP/1.0"  # an error of the version, too, begins with a status

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Incoming(self.connection))

    def handle(self) -> None:
        """As the base class does it, with another handler of errors."""
        self.raw_requestline = self.rfile.readline(MAX_LINE_BYTES + 1)
        if self.raw_requestline in EMPTY_LINES:  # before a request one is no error
            self.raw_requestline = self.rfile.readline(MAX_LINE_BYTES + 1)
        if len(self.raw_requestline) > MAX_LINE_BYTES:
            self.requestline = self.request_version = self.command = ""
            self.send_error(414)
        elif self.parse_request():
            files = (self.rfile, self.wfile, sys.stderr)
            kind = _HeadHandler if self.command == "HEAD" else _AnswerHandler
            handler = kind(*files, self.get_environ())  # type: ignore[arg-type]  # of bytes
            handler.run(self.server.get_app())  # type: ignore[attr-defined]  # of a WSGIServer

    def parse_request(self) -> bool:
        """As the base class does it; the target may be a URL, as proxies send it."""
        if not super().parse_request():
            return False
        if self.path.startswith("/") or (self.path == "*" and self.command == "OPTIONS"):
            return True
        url = _parse_url(self.path)
        if url is None:
            self.send_error(400, "the target must be a path, or an http URL without a user name")
            return False
        self.path = f"{url.path or '/'}?{url.query}"
        del self.headers["Host"]  # to which the URL goes before (RFC 9112, 3.2.2)
        self.headers["Host"] = url.netloc
        return True

    def get_environ(self) -> WSGIEnvironment:
        environ = {**super().get_environ(), CONNECTION_KEY: self.connection}
        return environ | ({"REQUEST_METHOD": "GET"} if self.command == "HEAD" else {})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Nothing."""


class _AnswerHandler(SimpleHandler):
    def log_exception(
        self,
        exc_info: tuple[type[BaseException], BaseException, TracebackType]
        | tuple[None, None, None],
    ) -> None:
        _log_bug(exc_info[1])


class _HeadHandler(_AnswerHandler):
    """Sends what GET would, without the body."""

    def write(self, data: bytes) -> None:
        if not self.headers_sent:  # type: ignore[attr-defined]  # of a BaseHandler
            self.bytes_sent = len(data)
            self.send_headers()


class _Incoming(io.RawIOBase):
    """What a client sends, all of it within a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._deadline = time.monotonic() + REQUEST_SECONDS

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Raises TimeoutError when the time is over."""
        # 0 would mean not to wait at all
        self._connection.settimeout(max(self._deadline - time.monotonic(), 0.001))
        try:
            return self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(BLOCK_SECONDS)  # for all of a block, however it goes


def _resolve(address: Address) -> tuple[socket.AddressFamily, str]:
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, _, _, _, place = found[0]
    return family, str(place[0])


def _parse_url(target: str) -> SplitResult | None:
    try:
        url = urlsplit(target)
    except ValueError:  # such as http://[
        return None
    is_good = url.scheme in {"http", "https"} and url.netloc and "@" not in url.netloc
    return url if is_good else None


def _log_bug(error: BaseException | None) -> None:
    if not isinstance(error, OSError):  # a client that is slow or gone
        log.error("an HTTP request has failed", exc_info=error)
