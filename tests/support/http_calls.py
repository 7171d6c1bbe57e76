"""HTTP requests with exactly the headers that a test gives, and what comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

JSON_TYPE = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answered:
    """A whole response."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


def ask(
    url: str, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] = {}
) -> Answered:
    """One request and its whole response."""
    with closing(_send(url, method, body, headers)) as connection:
        response = connection.getresponse()
        return Answered(response.status, response.headers, response.read())


def stream(url: str, message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Post a message to a route that answers with lines of JSON; each as it comes."""
    body = json.dumps(message).encode()
    with closing(_send(url, "POST", body, JSON_TYPE)) as connection:
        response = connection.getresponse()
        assert response.status == 200, response.read()
        yield from map(json.loads, _lines(response))


def post_and_leave(url: str, message: Mapping[str, Any]) -> None:
    """Post a message and hang up without waiting for anything."""
    _send(url, "POST", json.dumps(message).encode(), JSON_TYPE).close()


def _send(url: str, method: str, body: bytes | None, headers: Mapping[str, str]) -> HTTPConnection:
    place = urlsplit(url)
    connection = HTTPConnection(place.netloc)
    connection.request(method, f"{place.path}?{place.query}", body, dict(headers))
    return connection


def _lines(response: HTTPResponse) -> Iterator[bytes]:
    yield from iter(response.readline, b"")
