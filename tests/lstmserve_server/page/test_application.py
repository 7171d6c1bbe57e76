"""The page's routes without a server behind them: what is answered, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Iterable
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from lstmserve_server.config import PageConfig
from lstmserve_server.page.application import Page
from lstmserve_server.page.caller import parse_request
from lstmserve_server.page.guard import MAX_BODY_BYTES

LOCAL, ANYWHERE = PageConfig(is_on=True), PageConfig(is_on=True, is_local=False)
POST = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": "application/json"}
API = ("/api/models", "/api/generate")


class Response:
    """What a page says to one request."""

    def __init__(self, page: Page, path: str, body: bytes = b"", **environ: str) -> None:
        request: dict[str, Any] = {
            "PATH_INFO": path,
            "HTTP_HOST": "127.0.0.1:9464",
            "wsgi.input": io.BytesIO(body),
            "CONTENT_LENGTH": str(len(body)),
            **environ,
        }
        setup_testing_defaults(request)
        blocks: Iterable[bytes] = page(request, self._start)
        self.body = b"".join(blocks)

    def _start(self, status: str, headers: list[tuple[str, str]], _: object = None) -> object:
        self.status = int(status.split(maxsplit=1)[0])
        self.headers = dict(headers)
        assert len(self.headers) == len(headers)

    @property
    def message(self) -> str:
        text: str = json.loads(self.body)["error"]["message"]
        return text


@pytest.fixture
def page() -> Page:
    return Page(LOCAL)


def test_the_page_is_one_file_that_may_load_nothing_else(page: Page) -> None:
    response = Response(page, "/")
    text = response.body.decode()
    assert (response.status, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "<title>lstmserve</title>" in text
    assert not re.search(r"""(src|href)=["'](?!metrics"|data:)""", text)
    assert not re.search(r"<[^>]*\s(on\w+|style)=", text.partition("<script>")[0])
    policy = response.headers["Content-Security-Policy"]
    for tag in ("script", "style"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    for rule in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert rule in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("path", "more"), [("/", {}), ("/nowhere", {}), ("/api/models", {}), ("/api/generate", POST)]
)
def test_every_answer_is_safe_from_guessing_keeping_and_framing(
    page: Page, path: str, more: dict[str, str]
) -> None:
    headers = Response(page, path, **more).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/", *API, "/nowhere"])
def test_a_page_that_is_off_is_not_there(path: str) -> None:
    assert Response(Page(PageConfig(is_on=False)), path).status == 404


@pytest.mark.parametrize("path", ["/nowhere", "/api", "/api/", "/index.html", "//", "", "/../"])
def test_there_is_nothing_else(page: Page, path: str) -> None:
    assert Response(page, path).status == 404


@pytest.mark.parametrize(
    ("path", "wrong", "right"),
    [("/", "POST", "GET"), ("/api/models", "DELETE", "GET"), ("/api/generate", "GET", "POST")],
)
def test_a_wrong_method_is_told_the_right_one(
    page: Page, path: str, wrong: str, right: str
) -> None:
    response = Response(page, path, REQUEST_METHOD=wrong)
    assert (response.status, response.headers["Allow"]) == (405, right)


def test_until_the_server_listens_it_is_starting(page: Page) -> None:
    assert Response(page, "/").status == 200
    for response in (Response(page, "/api/models"), Response(page, "/api/generate", b"{}", **POST)):
        assert (response.status, response.message) == (503, "the server is starting")


OURS = ["localhost", "localhost:9464", "127.0.0.1:9464", "127.8.9.1", "[::1]:9464", "a.localhost"]
FOREIGN = ["evil.example", "evil.example:9464", "localhost.evil.example", "10.0.0.1", "[::2]:1"]
FOREIGN += ["", "0.0.0.0:9464", "[", "127.0.0.1.evil.example", "127.0.0.1@evil.example"]


@pytest.mark.parametrize("host", OURS)
def test_a_loopback_name_finds_the_page(page: Page, host: str) -> None:
    assert Response(page, "/", HTTP_HOST=host).status == 200


@pytest.mark.parametrize("path", ["/", *API])
@pytest.mark.parametrize("host", FOREIGN)
def test_a_name_that_anybody_may_lead_here_does_not(page: Page, host: str, path: str) -> None:
    response = Response(page, path, HTTP_HOST=host)
    assert response.status == 403
    assert "--page on" in response.message


def test_a_page_for_everybody_has_any_name() -> None:
    assert Response(Page(ANYWHERE), "/", HTTP_HOST="lstm.example:9464").status == 200


@pytest.mark.parametrize("config", [LOCAL, ANYWHERE])
@pytest.mark.parametrize("path", API)
@pytest.mark.parametrize(
    "header",
    [
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
        {"HTTP_SEC_FETCH_SITE": "same-site"},
        {"HTTP_ORIGIN": "http://evil.example"},
        {"HTTP_ORIGIN": "http://127.0.0.1:1"},
        {"HTTP_ORIGIN": "null"},
        {"HTTP_ORIGIN": "http://["},
    ],
)
def test_another_sites_page_gets_nothing(
    config: PageConfig, path: str, header: dict[str, str]
) -> None:
    method = {"REQUEST_METHOD": "POST" if path == "/api/generate" else "GET"}
    assert Response(Page(config), path, **method, **header).status == 403


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"HTTP_SEC_FETCH_SITE": "same-origin"},
        {"HTTP_SEC_FETCH_SITE": "none"},
        {"HTTP_ORIGIN": "http://127.0.0.1:9464"},
        {"HTTP_ORIGIN": "https://127.0.0.1:9464"},  # behind something that does TLS
    ],
)
def test_our_own_page_and_programs_get_further(page: Page, header: dict[str, str]) -> None:
    assert Response(page, "/api/models", **header).status == 503


def test_another_site_may_link_to_the_page(page: Page) -> None:
    assert Response(page, "/", HTTP_SEC_FETCH_SITE="cross-site").status == 200


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("environ", "status", "said"),
    [
        ({"CONTENT_TYPE": FORM}, 415, "application/json"),
        ({"CONTENT_TYPE": "text/plain; application/json"}, 415, "application/json"),
        ({"CONTENT_TYPE": ""}, 415, "application/json"),
        ({"CONTENT_LENGTH": ""}, 411, "Content-Length"),
        ({"CONTENT_LENGTH": "-1"}, 411, "Content-Length"),
        ({"CONTENT_LENGTH": "²"}, 411, "Content-Length"),
        ({"CONTENT_LENGTH": str(MAX_BODY_BYTES + 1)}, 413, str(MAX_BODY_BYTES)),
        ({"CONTENT_LENGTH": "9" * 5000}, 413, str(MAX_BODY_BYTES)),
        ({"CONTENT_LENGTH": "3"}, 400, "ended early"),
    ],
)
def test_a_body_that_is_not_read_is_refused_by_what_it_says(
    connected: Page, environ: dict[str, str], status: int, said: str
) -> None:
    response = Response(connected, "/api/generate", b"{}", **{**POST, **environ})
    assert response.status == status
    assert said in response.message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"\xff", "utf-8"),
        (b"[" * 100_000, "JSON"),
        (b'{"shoe_size": 43}', "shoe_size"),
        (b'{"prompt": 7}', "prompt"),
        (b'{"prompt": "a", "prompt": "b"}', "prompt"),
        (b'{"prompt": "\\ud800"}', "prompt"),
        (b'{"sampling": {"seed": -1}}', "seed"),
        (b'{"stopping": {"max_tokens": 1.5}}', "max_tokens"),
    ],
)
def test_a_body_that_is_no_request_is_refused_with_what_is_wrong(
    connected: Page, body: bytes, said: str
) -> None:
    response = Response(connected, "/api/generate", body, **POST)
    assert response.status == 400
    assert said in response.message


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "the body is not valid JSON: "),
        (b"null", "must be a JSON object"),
        (b"\xff", "valid utf-8"),
        (b'{"prompt": "\\ud800"}', "prompt: must be valid Unicode text"),
        (b'{"cache_mode": "\\ud800"}', "cache_mode: must be valid Unicode text"),
        (b'{"sampling": {"seed": "\\udfff"}}', "sampling.seed: must be valid Unicode text"),
        (
            b'{"stopping": {"stop_sequences": ["a", "\\ud800"]}}',
            "stopping.stop_sequences[1]: must be valid Unicode text",
        ),
        (b'{"min_confidence": "\\ud800"}', "min_confidence: must be valid Unicode text"),
        (b'{"prompt": [1]}', "Failed to parse prompt field: its value is of another kind"),
        (
            b'{"sampling": {"logit_bias": {"x": 1}}}',
            "Failed to parse logit_bias field: its value is of another kind",
        ),
        (b'{"\\ud800": 1}', "valid Unicode"),
        (b'{"prompt": "a", "prompt": "b"}', "prompt: must appear once"),
        (b"[" * 50_000, "too deep"),
        (b'{"conversation":' * 3000, "too deep"),
        (b'{"sampling": {"seed": ' + b"9" * 5000 + b"}}", "too long"),
        (b'{"sampling": {"temperature": NaN}}', "NaN is no number of JSON"),
        (b'{"sampling": {"temperature": 1e999}}', "GenerateRequest.sampling.temperature"),
        (b'{"sampling": ' + b"[" * 900 + b"]" * 900 + b"}", "Failed to parse sampling field"),
        (b'{"nothing": 1}', 'no field named "nothing"'),
    ],
)
def test_a_body_that_is_no_request_is_refused_in_words_that_can_be_sent(
    body: bytes, reason: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)) as refused:
        parse_request(body)
    told = str(refused.value)
    assert "Error" not in told
    assert len(told.encode()) <= 600
