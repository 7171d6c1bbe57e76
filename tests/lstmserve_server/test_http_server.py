"""The HTTP server: clients that are slow, vanish, or send nonsense hold nothing and nobody."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import SimpleNamespace
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pytest
import structlog.testing

from lstmserve_server import http_server
from lstmserve_server.config import Address
from lstmserve_server.http_server import HttpServer, while_connected
from support.http_calls import ask
from support.no_threads import allow_no_thread

WAIT_SECONDS = 30
MAX_TRIES = 1000
REQUEST = b"GET / HTTP/1.0\r\n\r\n"


@contextmanager
def served(application: WSGIApplication, host: str = "127.0.0.1") -> Iterator[Address]:
    server = HttpServer(Address(host, 0), application)
    server.start()
    try:
        yield server.address
    finally:
        server.stop()


def hello(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def connect(address: Address) -> socket.socket:
    connection = socket.create_connection((address.host, address.port))
    connection.settimeout(WAIT_SECONDS)
    return connection


class Endless:
    """Answers with blocks that never end, and knows when it was given up."""

    def __init__(self) -> None:
        self.given_up = threading.Event()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield bytes(1 << 16)
        finally:
            self.given_up.set()


@pytest.mark.parametrize("beginning", [b"", b"GET / HT", b"GET / HTTP/1.0\r\nHost: a"])
def test_a_client_that_does_not_finish_its_request_is_dropped(
    monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.05)
    with (
        structlog.testing.capture_logs() as log,
        served(hello) as address,
        connect(address) as connection,
    ):
        connection.sendall(beginning)
        assert connection.recv(100) == b""
    assert log == []


def test_a_client_that_sends_a_byte_now_and_then_is_dropped_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.2)
    with served(hello) as address, connect(address) as connection:
        connection.settimeout(0.02)
        assert drip(connection) == "dropped"


def drip(connection: socket.socket) -> str:
    """Send a byte, wait a moment, and so on, until the server hangs up."""
    connection.sendall(b"GET /")
    for _ in range(10_000):
        try:
            connection.sendall(b"a")
            return "dropped" if connection.recv(1) == b"" else "answered"
        except TimeoutError:
            continue
        except ConnectionError:
            return "dropped"
    return "still there"


def test_a_client_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "BLOCK_SECONDS", 0.05)
    endless = Endless()
    with (
        structlog.testing.capture_logs() as log,
        served(endless) as address,
        connect(address) as connection,
    ):
        connection.sendall(REQUEST)
        assert endless.given_up.wait(WAIT_SECONDS)
    assert log == []


def test_a_client_that_leaves_is_given_up() -> None:
    endless = Endless()
    with structlog.testing.capture_logs() as log, served(endless) as address:
        with connect(address) as connection:
            connection.sendall(REQUEST)
            assert connection.recv(100)
        assert endless.given_up.wait(WAIT_SECONDS)
    assert log == []


def test_an_application_that_has_nothing_to_send_learns_that_its_client_left() -> None:
    left = threading.Event()

    def silent(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        with while_connected(environ, left.set):
            assert left.wait(WAIT_SECONDS)
        return []

    with served(silent) as address:
        with connect(address) as connection:
            connection.sendall(REQUEST)
        assert left.wait(WAIT_SECONDS)


def test_a_client_that_stays_is_answered_after_the_watch() -> None:
    calls = []

    def watched(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with while_connected(environ, lambda: calls.append("ended")):
            pass
        return hello(environ, start_response)

    with served(watched) as address:
        assert ask(f"http://{address}/").body == b"hello"
    assert calls == ["ended"]  # once, when there was nothing left to end


def test_a_bug_is_logged_and_answered_without_its_text() -> None:
    def broken(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise ValueError("a secret")

    with structlog.testing.capture_logs() as log, served(broken) as address:
        answered = ask(f"http://{address}/")
    assert answered.status == 500
    assert b"secret" not in answered.body
    (entry,) = log
    assert (entry["log_level"], str(entry["exc_info"])) == ("error", "a secret")


@pytest.mark.parametrize("nonsense", [b"\x00\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n"])
def test_what_is_no_http_is_refused_quietly(
    capfd: pytest.CaptureFixture[str], nonsense: bytes
) -> None:
    with served(hello) as address:
        with connect(address) as connection:
            connection.sendall(nonsense)
            assert b"400" in connection.recv(1000) or b"505" in connection.recv(1000)
        assert ask(f"http://{address}/").status == 200
    assert capfd.readouterr().err == ""


def test_connections_beyond_the_bound_are_closed_and_places_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "MAX_CONNECTIONS", 2)
    with served(hello) as address:
        held = [connect(address) for _ in range(2)]
        with connect(address) as one_more:
            assert one_more.recv(1) == b""
        for connection in held:
            connection.close()
        # as soon as their threads have noticed
        assert any(is_answered(address) for _ in range(MAX_TRIES))


def is_answered(address: Address) -> bool:
    with connect(address) as connection, suppress(OSError):
        connection.sendall(REQUEST)
        return connection.recv(8) != b""
    return False


def test_without_further_threads_requests_are_answered_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with served(hello) as address:
        with monkeypatch.context() as patched:
            allow_no_thread(patched)
            for _ in range(http_server.MAX_CONNECTIONS + 1):  # and no place is lost
                assert b" 200 " in send(address, "GET /")
        assert b" 200 " in send(address, "GET /")


def test_it_listens_on_ipv6_and_by_name() -> None:
    for host in ("::1", "localhost"):
        with served(hello, host) as address:
            assert ask(f"http://{address}/").body == b"hello"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "localhost"])
def test_nobody_is_asked_for_names(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Where no DNS server answers that takes ten seconds, at the start and with every request."""

    def look_up(*_: object) -> str:
        raise AssertionError("asked DNS")

    for function in ("getfqdn", "gethostbyaddr", "getnameinfo", "gethostbyname"):
        monkeypatch.setattr(socket, function, look_up)
    with served(hello, host) as address:
        assert ask(f"http://{address}/").body == b"hello"


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    keys = ("REQUEST_METHOD", "HTTP_HOST", "PATH_INFO", "QUERY_STRING")
    return [" ".join(environ.get(key, "-") for key in keys).encode()]


def send(address: Address, request_line: str) -> bytes:
    """The whole answer to a request whose Host is a.example."""
    with connect(address) as connection:
        connection.sendall(f"{request_line} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
        return b"".join(iter(partial(connection.recv, 1000), b""))


@pytest.mark.parametrize(
    ("request_line", "seen"),
    [
        ("GET /metrics?a=b", "GET a.example /metrics a=b"),
        ("GET http://b.example:1/metrics?a=b", "GET b.example:1 /metrics a=b"),
        ("GET HTTPS://b.example/metrics", "GET b.example /metrics "),
        ("GET http://b.example", "GET b.example / "),
        ("GET http://[::1]:80?a=b#c", "GET [::1]:80 / a=b"),
        ("GET /%6detrics", "GET a.example /metrics "),
        ("GET http://b.example/%6detrics", "GET b.example /metrics "),
        ("OPTIONS *", "OPTIONS a.example * "),
        ("\r\nGET /a", "GET a.example /a "),  # an empty line before it is passed over
    ],
)
def test_a_target_may_have_any_form_that_http_knows(request_line: str, seen: str) -> None:
    with served(echo) as address:
        head, _, body = send(address, request_line).partition(b"\r\n\r\n")
    assert (head.split()[1], body.decode()) == (b"200", seen)


@pytest.mark.parametrize(
    "target", ["http://me@b.example/", "http://", "http://[/", "ftp://a/", "metrics", "*", "a:80"]
)
def test_a_target_of_no_such_form_is_refused_with_what_it_must_be(target: str) -> None:
    with served(echo) as address:
        answer = send(address, f"GET {target}")
    assert answer.split()[1] == b"400"
    assert b"must be a path, or an http URL without a user name" in answer


@pytest.mark.parametrize(
    ("version", "status"), [("HTTP/2.0", b"505"), ("HTTP/1.x", b"400"), ("HTTP/1.1 x", b"400")]
)
def test_a_version_that_is_not_spoken_is_refused_with_a_status(version: str, status: bytes) -> None:
    with served(echo) as address, connect(address) as connection:
        connection.sendall(f"GET / {version}\r\n\r\n".encode())
        answer = b"".join(iter(partial(connection.recv, 1000), b""))
    assert answer.split()[:2] == [b"HTTP/1.0", status]


def test_the_answer_to_head_is_that_to_get_without_its_body() -> None:
    with served(hello) as address:
        heads = {
            method: [
                line
                for line in send(address, f"{method} /").split(b"\r\n")
                if not line.startswith(b"Date:")
            ]
            for method in ("GET", "HEAD")
        }
    assert heads["GET"].pop() == b"hello"
    assert heads["HEAD"].pop() == b""
    assert heads["GET"] == heads["HEAD"]
    assert b"Content-Length: 5" in heads["HEAD"]


def test_a_connection_for_which_there_is_no_file_is_tried_again_after_a_pause() -> None:
    """Else a server out of file descriptors would do nothing but try."""
    server = HttpServer(Address("127.0.0.1", 0), hello)
    waits: list[float] = []
    server._stopping = SimpleNamespace(wait=waits.append)  # type: ignore[assignment]
    with socket.create_connection((server.address.host, server.address.port)):
        server.socket.close()
        for number, expected in ((errno.EMFILE, 1), (errno.ENFILE, 2), (errno.ECONNABORTED, 2)):
            server.socket = SimpleNamespace(accept=raising(number))  # type: ignore[assignment]
            with pytest.raises(OSError, match=str(number)):
                server.get_request()
            assert waits == [http_server.NO_FILES_SECONDS] * expected


def raising(number: int) -> Callable[[], None]:
    def accept() -> None:
        raise OSError(number, str(number))

    return accept
