"""Who may ask over HTTP, how often, and by which certificate: as over gRPC."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import openai
import pytest

from benchmarks.testbed.server import ServerProcess
from benchmarks.testbed.waiting import until
from support.callers import Callers
from support.certificates import NAME, Authority, Pair, options_of, shown_by
from support.http_calls import JSON_TYPE
from support.openai_api import ON, Api, find_url, serve_api

MESSAGE = {"model": "tiny", "prompt": "hi", "max_tokens": 2}


@dataclass(frozen=True)
class Guarded:
    """An API that knows its callers."""

    api: Api
    callers: Callers

    def as_who(self, name: str) -> openai.OpenAI:
        return self.api.client(self.callers.tokens[name])


@pytest.fixture(scope="module")
def guarded(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    callers = Callers(tmp_path_factory.mktemp("callers") / "callers.toml")
    callers.add("shop", "generate")
    callers.add("operations", "admin")
    callers.add("eager", "generate", requests_per_second=0.01, burst=1)
    with serve_api(tiny_store, "--auth-file", str(callers.path)) as api:
        yield Guarded(api, callers)


def test_who_has_a_token_is_served_under_its_name(guarded: Guarded) -> None:
    client = guarded.as_who("shop")
    assert [model.id for model in client.models.list()] == ["tiny", "tiny/1"]
    found = client.completions.create(model="tiny", prompt="hi", max_tokens=2, user="ann")
    request_id = found.id.removeprefix("cmpl-")

    def find_callers() -> set[str]:
        entries = guarded.api.served.process.read_entries()
        return {e["caller"] for e in entries if e.get("request_id") == request_id}

    until(find_callers, "its line in the log")
    assert find_callers() == {"shop"}


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer unused",
        "Basic YTpi",
        "Bearer",
        "Bearer \xe9",
        "a" * 5000,
        "Bearer lst_" + "A" * 43,
    ],
)
def test_who_has_none_is_refused(guarded: Guarded, authorization: str) -> None:
    headers = {**JSON_TYPE, **({"Authorization": authorization} if authorization else {})}
    for answered in (
        guarded.api.post("/completions", MESSAGE, headers),
        guarded.api.post("/completions", {**MESSAGE, "stream": True}, headers),
        guarded.api.get("/models", headers),
    ):
        assert answered.status == 401
        assert answered.headers["www-authenticate"] == "Bearer"
        error = answered.json()["error"]
        assert (error["type"], error["code"]) == ("authentication_error", "unauthenticated")
        assert "send the header 'Authorization: Bearer TOKEN'" in error["message"]
    assert httpx.get(f"{guarded.api.root}/health").status_code == 200


def test_the_client_raises_what_it_has_for_that(guarded: Guarded) -> None:
    with pytest.raises(openai.AuthenticationError):
        guarded.api.client().models.list()
    with pytest.raises(
        openai.PermissionDeniedError, match="this request needs the scope 'generate'"
    ):
        guarded.as_who("operations").completions.create(**MESSAGE)


def test_who_asks_too_often_is_told_when_to_ask_again(guarded: Guarded) -> None:
    client = guarded.as_who("eager")
    client.completions.create(**MESSAGE)
    with pytest.raises(openai.RateLimitError) as refused:
        client.completions.create(**MESSAGE)
    assert refused.value.code == "rate_limit"
    headers = refused.value.response.headers
    assert 1 <= int(headers["retry-after"]) <= 100
    assert 0 < int(headers["retry-after-ms"]) <= 100_000


@dataclass(frozen=True)
class Secured:
    """An API over TLS that asks for certificates, and the files that it has."""

    api: Api
    authority: Authority
    folder: Path

    def ask(self, pair: Pair | None, folder: Path) -> int:
        context = ssl.create_default_context(cadata=self.authority.pem.decode())
        context.check_hostname = False
        if pair is not None:
            files = pair.write(folder)
            context.load_cert_chain(files / "tls.crt", files / "tls.key")
        answered = httpx.post(f"{self.api.url}/completions", json=MESSAGE, verify=context)
        return answered.status_code


@pytest.fixture
def secured(tiny_store: Path, tmp_path: Path) -> Iterator[Secured]:
    authority = Authority()
    folder = authority.issue().write(tmp_path / "tls")
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    options = (*options_of(folder), "--tls-client-authority", str(tmp_path / "ca.crt"))
    with ServerProcess(tiny_store, *ON, *options) as process:
        api = Api(None, find_url(process))  # type: ignore[arg-type]  # nobody asks it in clear
        yield Secured(api, authority, folder)


def test_certificates_are_those_of_grpc_also_when_they_change(
    secured: Secured, tmp_path: Path
) -> None:
    assert secured.api.url.startswith("https://")
    client = secured.authority.issue("shop.example")
    assert secured.ask(client, tmp_path / "client") == 200
    with pytest.raises(httpx.TransportError):
        secured.ask(None, tmp_path)
    with pytest.raises(httpx.TransportError):
        secured.ask(Authority().issue("shop.example"), tmp_path / "stranger")
    with pytest.raises(httpx.TransportError):
        httpx.get(secured.api.url.replace("https:", "http:"))
    other = secured.authority.issue(NAME, "other.example")
    other.write(secured.folder)
    place = secured.api.root.removeprefix("https://")
    until(lambda: is_shown(place, other), "the new certificate")
    assert secured.ask(client, tmp_path / "client") == 200


def is_shown(place: str, pair: Pair) -> bool:
    """Whether a handshake, which needs no certificate of ours before it shows its own, has it."""
    try:
        return shown_by(place) == pair.first.partition("-----END")[0].strip()
    except ssl.SSLError:
        return False
