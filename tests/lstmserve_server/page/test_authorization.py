"""The page of a server that knows its callers: it has no rights but those of who looks at it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from benchmarks.testbed.browser import start_browser
from lstmserve_server.auth.tokens import make_token
from support.browser import watch
from support.callers import Callers
from support.http_calls import JSON_TYPE, Answered, ask
from support.refusals import serve_callers
from support.served import Served, serve

QUESTION = {"prompt": "hello", "sampling": {"seed": "1"}, "stopping": {"max_tokens": 4}}


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Callers:
    made = Callers(tmp_path_factory.mktemp("callers") / "callers.toml")
    made.add("shop", "generate")
    made.add("ops", "admin")
    return made


@pytest.fixture(scope="module")
def served(tiny_store: Path, callers: Callers) -> Iterator[Served]:
    with serve_callers(tiny_store, callers) as running:
        yield running


def get(served: Served, path: str, headers: Mapping[str, str] = {}) -> Answered:
    return ask(served.process.metrics_url.removesuffix("/metrics") + path, headers=headers)


def generate(served: Served, headers: Mapping[str, str] = {}) -> dict[str, Any]:
    """The last event."""
    url = served.process.metrics_url.removesuffix("/metrics") + "/api/generate"
    answered = ask(url, "POST", json.dumps(QUESTION).encode(), {**JSON_TYPE, **headers})
    last: dict[str, Any] = json.loads(answered.body.splitlines()[-1])
    return last


def authorize(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_without_a_token_there_are_neither_models_nor_replies(served: Served) -> None:
    for headers in ({}, authorize(make_token()), {"Authorization": "Basic eDp5"}):
        answered = get(served, "/api/models", headers)
        assert answered.status == 401
        assert answered.headers["WWW-Authenticate"] == "Bearer"
        assert answered.json()["error"]["status"] == "UNAUTHENTICATED"
        assert generate(served, headers)["error"]["status"] == "UNAUTHENTICATED"
    assert get(served, "/").status == get(served, "/metrics").status == 200


def test_a_token_gives_what_its_owner_may_have(served: Served, callers: Callers) -> None:
    shop, ops = (authorize(callers.tokens[name]) for name in ("shop", "ops"))
    for headers in (shop, ops):
        assert get(served, "/api/models", headers).json()["models"][0]["name"] == "tiny"
    assert "completion" in generate(served, shop)
    assert generate(served, ops)["error"]["status"] == "PERMISSION_DENIED"


@pytest.mark.parametrize("value", ["Bearer a b", "Bearer \x7f", f"Bearer {'a' * 5000}", "Bearer é"])
def test_what_cannot_be_a_token_goes_no_further(served: Served, value: str) -> None:
    assert get(served, "/api/models", {"Authorization": value}).status == 401


def test_a_password_of_a_proxy_is_not_passed_on(served: Served) -> None:
    before = served.page().values("unauthenticated_total", "reason")
    get(served, "/api/models", {"Authorization": "Basic eDp5"})
    after = served.page().values("unauthenticated_total", "reason")
    assert after["missing",] == before["missing",] + 1
    assert after["malformed",] == before["malformed",]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=60_000)
    with start_browser() as running:
        yield running


@pytest.mark.system
def test_a_person_gives_a_token_and_a_reload_forgets_it(
    browser: Browser, served: Served, callers: Callers
) -> None:
    with watch(browser) as watched:
        page = watched.page
        page.goto(served.process.metrics_url.removesuffix("metrics"))
        expect(page.locator("#models-note")).to_contain_text("a token is needed")
        page.get_by_label("Token", exact=True).fill(make_token())
        page.get_by_role("button", name="Use").click()
        expect(page.locator("#models-note")).to_contain_text("does not know this token")
        page.get_by_label("Token", exact=True).fill(callers.tokens["shop"])
        page.get_by_label("Token", exact=True).press("Enter")
        expect(page.get_by_role("article")).to_be_visible()
        page.get_by_label("Prompt", exact=True).fill("hello")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#facts")).to_contain_text("Ended by")
        kept = page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]")
        assert kept == ["", 0, 0]
        page.reload()
        expect(page.locator("#models-note")).to_contain_text("a token is needed")
        expect(page.get_by_label("Token", exact=True)).to_have_value("")


@pytest.mark.system
def test_nobody_is_asked_where_nobody_has_to_be_known(browser: Browser, tiny_store: Path) -> None:
    with serve(tiny_store) as open_to_all, watch(browser) as watched:
        watched.page.goto(open_to_all.process.metrics_url.removesuffix("metrics"))
        expect(watched.page.get_by_role("article")).to_be_visible()
        expect(watched.page.get_by_label("Token", exact=True)).to_be_hidden()
