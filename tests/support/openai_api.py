"""A running server with OpenAI's HTTP API, and clients of it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai

from benchmarks.testbed.server import ServerProcess
from support.http_calls import JSON_TYPE, Answered, ask
from support.served import Served, serve

WAIT_SECONDS = 60
ON = ("--http-listen", "127.0.0.1:0")
LINE = "OpenAI's API: "
UNUSED = "unused"  # a key, without which the client does not start


@dataclass(frozen=True)
class Api:
    """A server, and where its API is."""

    served: Served
    url: str  # up to /v1

    def client(self, key: str = UNUSED) -> openai.OpenAI:
        return openai.OpenAI(api_key=key, base_url=self.url, max_retries=0)

    def aio_client(self, key: str = UNUSED) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(api_key=key, base_url=self.url, max_retries=0)

    def post(
        self, path: str, message: Mapping[str, Any] | bytes, headers: Mapping[str, str] = JSON_TYPE
    ) -> Answered:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        return ask(f"{self.url}{path}", "POST", body, headers)

    def get(self, path: str, headers: Mapping[str, str] = {}) -> Answered:
        return ask(f"{self.url}{path}", headers=headers)

    def send(self, path: str, message: Mapping[str, Any]) -> socket.socket:
        """Post a message; its response is still to come."""
        body = json.dumps(message)
        connection = self.connect()
        connection.sendall(
            f"POST /v1{path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        return connection

    @property
    def root(self) -> str:
        return self.url.removesuffix("/v1")

    def connect(self) -> socket.socket:
        """A connection for whatever bytes a test sends."""
        place = urlsplit(self.url)
        connection = socket.create_connection((place.hostname, place.port))
        connection.settimeout(WAIT_SECONDS)
        return connection


@contextmanager
def serve_api(store: Path, *arguments: str) -> Iterator[Api]:
    """A server with these options, for as long as the block takes."""
    with serve(store, *ON, *arguments) as served:
        yield Api(served, find_url(served.process))


def find_url(server: ServerProcess) -> str:
    """Where a server that is ready says that the API is."""
    while not (line := server.read_line()).startswith(LINE):
        assert line, "it says nothing of it"
    return line.removeprefix(LINE).strip()


def read_events(body: bytes) -> list[Any]:
    """The events of a whole stream; the last one is [DONE] as text, where it is one."""
    found = [part.removeprefix(b"data: ") for part in body.split(b"\n\n") if part]
    return ["[DONE]" if part == b"[DONE]" else json.loads(part) for part in found]
