"""A client that closes its sending side gets what is at hand; no reply is generated for it."""

from __future__ import annotations

import socket

import pytest

from benchmarks.testbed.waiting import until
from support.openai_api import Api

LONG = {"min_tokens": 512, "max_tokens": 512, "cache_mode": "bypass", "logprobs": 20}


def ask_and_close(api: Api, request: str) -> bytes:
    """What comes after the sending side was closed, up to the end."""
    with api.connect() as connection:
        connection.sendall(f"{request} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /health", 200),
        ("HEAD /health", 200),
        ("GET /v1/models", 200),
        ("GET /v1/models/tiny", 200),
        ("GET /v1/models/nope", 404),
        ("GET /nowhere", 404),
        ("GET /v1/completions", 405),
    ],
)
def test_what_needs_no_generation_is_answered(api: Api, request_line: str, status: int) -> None:
    answer = ask_and_close(api, request_line)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_reply_ends_as_if_the_client_had_left(api: Api, is_streamed: bool) -> None:
    key = ("Generate" if is_streamed else "GenerateReply", "CANCELLED")
    count = api.served.page().counted("requests_total", "rpc", "code").get(key, 0)

    def close() -> bool:
        with api.send("/completions", {"prompt": "a", "stream": is_streamed, **LONG}) as connection:
            if is_streamed:
                assert connection.recv(1)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
        page = api.served.page_once_idle()
        return page.counted("requests_total", "rpc", "code").get(key, 0) > count

    until(close, "a reply that ended when its client closed")
