"""Nonsense over HTTP is refused in OpenAI's shape, fails alone, and is not repeated in the log."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from http.client import HTTPResponse

import pytest

from lstmserve_server.openai_api.body import MAX_BODY_BYTES, MAX_LARGE_BODIES
from support.http_calls import JSON_TYPE, Answered, ask
from support.openai_api import Api, read_events

GOOD = {"prompt": "hi", "max_tokens": 2}


def check_error(answered: Answered, status: int, code: str) -> str:
    """An error of OpenAI's shape; its message."""
    assert (answered.status, answered.headers["content-type"]) == (status, "application/json")
    assert answered.headers["x-request-id"]
    error = answered.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert not any(word in error["message"] for word in ("Error", "Traceback", "grpc", "/tmp"))
    return str(error["message"])


@pytest.fixture(autouse=True)
def _others_are_served(api: Api) -> None:
    """Before the test; the one after it finds out what it left behind."""
    assert api.post("/completions", GOOD).status == 200


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"\xff\xfe{}", "valid utf-8"),
        (b'{"prompt": "\xff"}', "valid utf-8"),
        (b'{"prompt": "a", "temperature": NaN}', "NaN is no number"),
        (b'{"prompt": "a", "temperature": -Infinity}', "-Infinity is no number"),
        (b'{"prompt": "\\ud800"}', "prompt: must be valid Unicode"),
        (b'{"\\udfff": 1}', "valid Unicode"),
        (b'{"prompt": "a", "prompt": "b"}', "prompt: must appear once"),
        (b'{"prompt": ' + b"[" * 50_000, "too deep"),
        (b'{"prompt": ' + b'{"a":' * 20_000, "too deep"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "too long"),
    ],
)
def test_a_body_that_is_no_json_is_refused(api: Api, body: bytes, reason: str) -> None:
    assert reason in check_error(api.post("/completions", body), 400, "invalid_json")


@pytest.mark.parametrize(
    "body",
    [
        b'{"prompt": "a", "temperature": 1e999}',
        b'{"prompt": "a", "temperature": 1e300}',
        b'{"prompt": "a", "seed": 18446744073709551616}',
        b'{"prompt": "a", "stop": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"prompt": "a", "logit_bias": {"4294967295": 1}}',
        b'{"prompt": "a", "variables": {"a": "\\u0000"}}',
        b'{"prompt": "a", "json_schema": "{\\"type\\": \\"nothing\\"}"}',
        b'{"prompt": "a", "regex": "("}',
        b'{"prompt": "a", "seed": "\xd9\xa3"}',
        b'{"prompt": ["a", " "]}',
        b'{"prompt": "a", "user": "' + b"\xc3\xa9" * 513 + b'"}',
        b'{"prompt": "a", "safety_identifier": "' + b"a" * 513 + b'"}',
        b'{"prompt": "' + b"no " * 50_000 + b'"}',
    ],
)
def test_a_field_that_cannot_be_is_refused_by_name(api: Api, body: bytes) -> None:
    answered = api.post("/completions", body)
    message = check_error(answered, 400, "invalid_request")
    param = answered.json()["error"]["param"]
    assert message.startswith(f"{param}: ")
    assert param.partition("[")[0].encode() in body


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=a"},
        {**JSON_TYPE, "Content-Encoding": "gzip"},
    ],
)
def test_other_media_types_are_refused(api: Api, headers: Mapping[str, str]) -> None:
    answered = api.post("/completions", GOOD, headers)
    check_error(answered, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://a.example"}, {"Sec-Fetch-Site": "same-origin"}]
)
def test_a_page_in_a_browser_is_refused(api: Api, headers: Mapping[str, str]) -> None:
    check_error(api.post("/completions", GOOD, {**JSON_TYPE, **headers}), 403, "browser")
    check_error(api.get("/models", headers), 403, "browser")


def test_a_body_that_is_too_long_is_not_read(api: Api) -> None:
    """However often: its place is free again."""
    long = {"prompt": "a" * MAX_BODY_BYTES}
    for _ in range(MAX_LARGE_BODIES + 1):
        check_error(api.post("/completions", long), 413, "too_large")
    with api.connect() as connection:
        connection.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(5):
            connection.sendall(b"10000\r\n" + b" " * (1 << 16) + b"\r\n")
        assert b" 413 " in connection.recv(1000)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models/tiny", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/completions", 405, "method_not_allowed"),
        ("POST", "/v1/embeddings", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("GET", "/metrics", 404, "not_found"),
        ("POST", "/v1/completions/", 404, "not_found"),
        ("GET", "/%00%ff%2e%2e//", 404, "not_found"),
        ("GET", "/v1/models/%00%ff", 404, "model_not_found"),
        ("GET", "/v1/models/", 404, "model_not_found"),
        ("GET", "/v1/models//1", 404, "model_not_found"),
        ("POST", "/chat/completions", 404, "not_found"),
    ],
)
def test_what_is_not_there_is_refused(
    api: Api, method: str, path: str, status: int, code: str
) -> None:
    answered = ask(f"{api.root}{path}", method)
    check_error(answered, status, code)
    named = ask(f"{api.root}{path}", method, headers={"x-request-id": "mine-1"})
    assert named.headers["x-request-id"] == "mine-1"


@pytest.mark.parametrize(
    "nonsense",
    [b"\x00\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"\x16\x03\x01" + b"\xff" * 99],
)
def test_what_is_no_http_is_refused(api: Api, nonsense: bytes) -> None:
    with api.connect() as connection:
        connection.sendall(nonsense + b"\r\n\r\n")
        check_error(read_answer(connection), 400, "invalid_http")


@pytest.mark.parametrize(
    ("path", "body"), [("/nowhere", b"zz\r\n"), ("/v1/completions", b"2\r\n{}zz\r\n")]
)
def test_a_body_that_breaks_after_the_answer_is_no_news(api: Api, path: str, body: bytes) -> None:
    """Nothing more is said, to the client or in the log."""
    with api.connect() as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        answer = connection.recv(1 << 16)
        connection.sendall(body)
        answer += b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.count(b"HTTP/1.1 ") == 1
    assert "Traceback" not in api.served.process.read_log()


@pytest.mark.parametrize(
    ("path", "version", "headers"),
    [
        ("/v1/completions", "1.1", ("Content-Length: 4", "Transfer-Encoding: chunked")),
        ("/nowhere", "1.1", ("Transfer-Encoding: chunked", "Content-Length: 5")),
        ("/v1/completions", "1.0", ("Transfer-Encoding: chunked",)),
    ],
)
def test_a_request_with_two_ends_is_refused_and_ends_its_connection(
    api: Api, path: str, version: str, headers: tuple[str, ...]
) -> None:
    """What follows it may be a request of somebody else, or a part of it."""
    head = "\r\n".join([f"POST {path} HTTP/{version}", "Host: a", *headers])
    follows = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
    with api.connect() as connection:
        connection.sendall(head.encode() + b"\r\n\r\n0\r\n\r\n" + follows)
        check_error(read_answer(connection), 400, "invalid_http")
        assert connection.recv(1000) == b""


def read_answer(connection: socket.socket) -> Answered:
    with HTTPResponse(connection) as response:
        response.begin()
        return Answered(response.status, response.headers, response.read())


def test_headers_that_do_not_end_are_refused(api: Api) -> None:
    with api.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000)
        assert b" 400 " in connection.recv(1000)


@pytest.mark.parametrize("value", ["b" * 9000, "Bearer \xe9", "traceparent"])
def test_headers_that_grpc_would_not_take_do_not_reach_it(api: Api, value: str) -> None:
    """Nobody has to prove anything here; so they are as good as none."""
    headers = {"Authorization": value, "traceparent": value, "tracestate": value}
    assert api.post("/completions", GOOD, {**JSON_TYPE, **headers}).status == 200


def test_a_caller_that_cannot_be_one_is_refused_by_the_header(api: Api) -> None:
    answered = api.post("/completions", GOOD, {**JSON_TYPE, "x-caller-id": "a b"})
    check_error(answered, 400, "invalid_request")
    assert answered.json()["error"]["param"] == "x-caller-id"


@pytest.mark.parametrize("host", ["[", "a b", "", "evil.example:99999"])
@pytest.mark.parametrize("path", ["/nowhere", "/health/", "//"])
def test_a_strange_host_changes_nothing(api: Api, host: str, path: str) -> None:
    check_error(ask(f"{api.root}{path}", headers={"Host": host}), 404, "not_found")


def test_an_upgrade_is_not_taken(api: Api) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
    assert ask(f"{api.root}/health", headers=headers).status == 200


def test_nothing_of_it_is_in_the_log(api: Api) -> None:
    api.post("/completions", b'{"prompt": "a secret')
    log = api.served.process.read_log()
    assert "secret" not in log
    assert "Traceback" not in log
    assert "uvicorn" not in log


def test_an_error_of_a_stream_that_has_not_begun_has_a_status(api: Api) -> None:
    answered = api.post("/completions", {"prompt": " ", "stream": True})
    check_error(answered, 400, "invalid_request")


def test_requests_on_one_connection_are_answered_in_order(api: Api) -> None:
    body = json.dumps({**GOOD, "stream": True})
    request = (
        "POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    last = "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with api.connect() as connection:
        connection.sendall(f"{request}{request}{last}".encode())
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.endswith(b'{"status":"ok"}')
    assert answer.count(b"data: [DONE]") == 2
    assert read_events(b"data: [DONE]\n\n") == ["[DONE]"]
