"""What the page's server sends: the page itself, other answers, and refusals. Knows no gRPC."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files

Headers = tuple[tuple[str, str], ...]

NOTHING_EMBEDDED = "default-src 'none'; frame-ancestors 'none'"
# of the page, which is one file with everything in it: it may do nothing else
POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ALWAYS: Headers = (
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response; ``policy`` is its Content-Security-Policy."""

    content_type: str
    body: Iterable[bytes]
    status: HTTPStatus = HTTPStatus.OK
    policy: str = NOTHING_EMBEDDED
    more: Headers = ()

    @property
    def status_line(self) -> str:
        return f"{self.status.value} {self.status.phrase}"

    @property
    def headers(self) -> list[tuple[str, str]]:
        own = (("Content-Type", self.content_type), ("Content-Security-Policy", self.policy))
        return [*own, *ALWAYS, *self.more]


class RefusedError(Exception):
    """The request is not answered; the text says why."""

    def __init__(self, status: HTTPStatus, text: str, *more: tuple[str, str]) -> None:
        super().__init__(text)
        self.status = status
        self.more: Headers = more


def to_json(value: object) -> bytes:
    """One line."""
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def answer_json(value: object, status: HTTPStatus = HTTPStatus.OK, more: Headers = ()) -> Answer:
    return Answer("application/json", [to_json(value)], status, more=more)


def answer_refusal(refused: RefusedError) -> Answer:
    return answer_json({"error": {"message": str(refused)}}, refused.status, refused.more)


def load_document() -> Answer:
    """The file, with a policy that allows the script and the style that stand in it, by hash."""
    text = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    policy = POLICY.format(script=_hash_of("script", text), style=_hash_of("style", text))
    return Answer("text/html; charset=utf-8", [text.encode()], policy=policy)


def _hash_of(tag: str, text: str) -> str:
    (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
