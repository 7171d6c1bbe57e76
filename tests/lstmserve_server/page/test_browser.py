"""The page as a person sees it, in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from playwright.sync_api import Browser, Locator, Page, Route, expect

from benchmarks.testbed.browser import start_browser
from benchmarks.testbed.server import ServerProcess
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2 as pb_models
from support.browser import Watched, watch
from support.served import Served, serve
from support.stores import copy_version, edit_manifest
from support.wire_requests import make_request

pytestmark = pytest.mark.system  # Chromium

INJECTION = "<img src=nothing onerror=alert(1)><script>alert(2)</script>&amp;"
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
STATES = ("LOADING", "UNLOADING", "UNLOADED", "FAILED")  # beside READY
NUMBER = re.compile(r"^[\d,.]+")
NEVER_SECONDS = 60  # if it has not come by then, it does not


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=NEVER_SECONDS * 1000)
    with start_browser() as running:
        yield running


@pytest.fixture(scope="module")
def store(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose card is an attack on whoever shows it as HTML."""
    store = tmp_path_factory.mktemp("injected")
    version = copy_version(tiny_store / "tiny" / "1", store)
    edit_manifest(version, description=INJECTION, example_prompts=["hello\n there", INJECTION])
    return store


@pytest.fixture(scope="module")
def served(store: Path) -> Iterator[Served]:
    with serve(store) as running:
        yield running


@pytest.fixture
def watched(browser: Browser, served: Served) -> Iterator[Watched]:
    """The page, once it shows the models."""
    with watch(browser, viewport=DESK) as found:
        open_page(found.page, served.process)
        yield found


def open_page(page: Page, server: ServerProcess) -> None:
    page.set_default_timeout(NEVER_SECONDS * 1000)
    page.goto(server.metrics_url.removesuffix("metrics"))
    expect(page.get_by_role("article")).to_be_visible()


def tile(page: Page, name: str) -> Locator:
    """The number on a tile."""
    return page.locator(".tile", has_text=name).locator(".value")


def fact(page: Page, name: str) -> Locator:
    return page.locator("#facts > div", has=page.get_by_text(name, exact=True)).locator("dd")


def send(page: Page, prompt: str, seed: str = "") -> None:
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.get_by_label("Seed", exact=True).fill(seed)
    page.get_by_role("button", name="Send").click()


def test_it_loads_from_its_server_alone_and_says_nothing_to_the_console(
    watched: Watched, served: Served
) -> None:
    expect(watched.page.get_by_text("live", exact=True)).to_be_visible()
    origin = served.process.metrics_url.removesuffix("metrics")
    asked = [url for url in watched.requested if not url.startswith("data:")]
    assert asked
    assert all(url.startswith(origin) for url in asked), asked
    assert watched.complaints == []


def test_numbers_follow_what_the_server_does(watched: Watched, served: Served) -> None:
    page = watched.page
    expect(tile(page, "Tokens per second")).to_have_text("0")
    for seed in range(20):
        served.ask(make_request(seed=1000 + seed, max_tokens=48, min_tokens=48))
    expect(tile(page, "Tokens per second")).to_have_text(re.compile("[1-9]"))
    for name in ("First token", "Whole reply"):
        expect(tile(page, name)).to_have_text(re.compile(r"^[\d.]+ m?s$"))
    expect(tile(page, "Cache hits")).to_have_text(re.compile(r"^[\d.]+ %$"))
    expect(tile(page, "Memory")).to_have_text(re.compile(r"^[\d.]+ MB$"))
    expect(
        page.locator(".tile", has_text="Tokens per second").locator("path.first")
    ).to_have_attribute("d", re.compile("L"))


def test_a_prompt_streams_the_reply_that_the_api_gives(watched: Watched, served: Served) -> None:
    page = watched.page
    send(page, "where is my parcel", seed="18446744073709551615")
    expect(page.get_by_role("region", name="Reply", exact=True)).to_have_attribute(
        "aria-busy", "false"
    )
    # the sliders of the page stand at the model's own values
    request = pb.GenerateRequest(prompt="where is my parcel")
    request.sampling.seed = (1 << 64) - 1
    expected = served.ask(request)
    assert page.get_by_role("region", name="Reply", exact=True).text_content() == expected.text
    expect(fact(page, "Seed in force")).to_contain_text("18446744073709551615")
    expect(fact(page, "Cache")).to_have_text(re.compile("^(miss|hit)"))
    expect(fact(page, "Ended by")).to_have_text("end of text")
    expect(fact(page, "Reply")).to_have_text(f"{expected.generated_tokens} tokens")
    for name in ("First token", "Tokens per second"):
        expect(fact(page, name)).to_have_text(NUMBER)
    assert watched.complaints == []


def test_a_seed_that_is_kept_gives_the_same_reply_again(watched: Watched) -> None:
    page = watched.page
    send(page, "hello")
    expect(page.get_by_role("region", name="Reply", exact=True)).to_have_attribute(
        "aria-busy", "false"
    )
    first = page.get_by_role("region", name="Reply", exact=True).text_content()
    page.get_by_role("button", name="Keep this seed").click()
    page.get_by_label("Prompt", exact=True).press("Control+Enter")
    expect(fact(page, "Ended by")).to_be_visible()
    expect(page.get_by_role("region", name="Reply", exact=True)).to_have_text(first or "")


def test_the_prompts_of_the_card_can_be_tried(watched: Watched) -> None:
    prompt = watched.page.get_by_label("Prompt", exact=True)
    examples = watched.page.get_by_role("group", name="Prompts to try").get_by_role("button")
    expect(prompt).to_have_value("hello\n there")
    expect(examples).to_have_text(["hello there", INJECTION])
    examples.nth(1).click()
    expect(prompt).to_have_value(INJECTION)
    expect(prompt).to_be_focused()
    examples.nth(0).click()
    expect(prompt).to_have_value("hello\n there")
    assert watched.complaints == []


def test_what_is_refused_is_said_at_its_field(watched: Watched) -> None:
    page = watched.page
    page.get_by_label("Most tokens").fill("9999")
    send(page, "", seed="seven")
    problem = page.locator("#problem")
    expect(problem).to_have_text("sampling.seed: must be a whole number from 0 on, or empty")
    page.get_by_label("Seed", exact=True).fill("7")
    page.get_by_role("button", name="Send").click()
    expect(problem).to_contain_text("prompt: must not be empty")
    expect(problem).to_contain_text("stopping.max_tokens: must be from 1 to 512, not 9999")
    for name in ("Prompt", "Most tokens"):
        field = page.get_by_label(name, exact=True)
        expect(field).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Most tokens").fill("5")
    # of this seed the reply would be longer; without one it may end before
    send(page, "hello", seed="7")
    expect(fact(page, "Reply")).to_have_text("5 tokens")
    expect(problem).to_be_hidden()


def test_html_in_a_card_or_a_reply_is_text(watched: Watched) -> None:
    page = watched.page
    expect(page.get_by_role("article")).to_contain_text(INJECTION)
    events = [
        {"started": {"seed": INJECTION}},
        {"chunk": {"text": INJECTION}},
        {"error": {"message": INJECTION}},
    ]
    lines = "".join(f"{json.dumps(event)}\n" for event in events)
    page.route("**/api/generate", lambda route: route.fulfill(body=lines))
    send(page, "hello")
    expect(page.locator("#problem")).to_have_text(INJECTION)
    expect(page.get_by_role("region", name="Reply", exact=True)).to_have_text(INJECTION)
    assert page.locator("img, main script").count() == 0
    assert watched.complaints == []


def test_models_that_come_and_go_show_their_state(browser: Browser, served: Served) -> None:
    with watch(browser, viewport=DESK) as watched:
        page = watched.page
        page.route("**/api/models", add_models)
        page.goto(served.process.metrics_url.removesuffix("metrics"))
        for number, state in enumerate(STATES, start=2):
            card = page.get_by_role("article").filter(has_text=f"version {number}")
            expect(card).to_contain_text(state.lower())
            expect(card).to_contain_text(f"reason {number}")
            # nor is a fact told that nobody knows
            expect(card).not_to_contain_text(re.compile("NaN|undefined|Digest"))
        # what does not answer cannot be chosen
        options = page.get_by_label("Model", exact=True).get_by_role("option")
        expect(options).to_have_text(["tiny 1, the default"])


def add_models(route: Route) -> None:
    """Let the server's answer hold a version in every other state as well.

    They are not loaded, and of such a version nothing is told but where it stands.
    """
    (card,) = route.fetch().json()["models"]
    others = [
        pb_models.Model(
            name=card["name"],
            version=str(number),
            state=pb_models.ModelState.Value(f"MODEL_STATE_{state}"),
            state_reason=f"reason {number}",
        )
        for number, state in enumerate(STATES, start=2)
    ]
    route.fulfill(json={"models": [card, *map(to_json, others)]})


def to_json(message: Message) -> dict[str, object]:
    """As the page's API writes it."""
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def test_versions_that_share_the_traffic_say_so_and_can_be_chosen(
    browser: Browser, served: Served
) -> None:
    with watch(browser, viewport=DESK) as watched:
        page = watched.page
        page.route("**/api/models", split_traffic)
        page.goto(served.process.metrics_url.removesuffix("metrics"))
        for number, part in ((1, "90 %"), (2, "10 %")):
            card = page.get_by_role("article").filter(has_text=f"version {number}")
            expect(card).to_contain_text(f"answers by default, {part}")
        options = page.get_by_label("Model", exact=True).get_by_role("option")
        expect(options).to_have_text(["tiny, dealt out by weight", "tiny 1", "tiny 2"])


def split_traffic(route: Route) -> None:
    """Let the server's answer hold a canary."""
    (card,) = route.fetch().json()["models"]
    shares = {"1": 0.9, "2": 0.1}
    cards = [{**card, "version": each, "traffic_share": part} for each, part in shares.items()]
    route.fulfill(json={"models": cards})


def test_a_reply_that_breaks_off_is_no_reply(watched: Watched) -> None:
    page = watched.page
    page.route("**/api/generate", lambda route: route.fulfill(body='{"chunk": {"text": "Hel"}}\n'))
    send(page, "hello")
    expect(page.locator("#problem")).to_contain_text("lost before the reply was complete")
    expect(page.get_by_role("region", name="Reply", exact=True)).to_have_text("Hel")


def test_it_fits_a_phone(browser: Browser, served: Served) -> None:
    with watch(browser, viewport=PHONE) as watched:
        open_page(watched.page, served.process)
        width = watched.page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"]


def test_it_says_that_the_server_is_gone_and_comes_back_with_it(
    browser: Browser, tiny_store: Path
) -> None:
    with watch(browser, viewport=DESK) as watched:
        page = watched.page
        with ServerProcess(tiny_store) as server:
            open_page(page, server)
            expect(page.locator("#gone")).to_be_hidden()
            place = server.metrics_url.removeprefix("http://").removesuffix("/metrics")
        expect(page.get_by_role("alert").filter(has_text="does not answer")).to_be_visible()
        with ServerProcess(tiny_store, "--metrics-listen", place):
            expect(page.locator("#gone")).to_be_hidden()
            expect(page.get_by_text("live", exact=True)).to_be_visible()
            send(page, "hello")
            expect(fact(page, "Ended by")).to_be_visible()


@pytest.mark.parametrize(
    ("kind", "text", "reply"),
    [
        ("one of some texts", "yes\nno\n", "yes|no"),
        ("what matches a regular expression", "[0-9]{3}", "[0-9]{3}"),
        ("a value of a JSON schema", '{"enum": ["on", "off"]}', '"(on|off)"'),
        ("what keeps a grammar", 'start: "(" start ")" | "."', r"\(*\.\)*"),
    ],
)
def test_a_reply_keeps_the_form_that_is_chosen(
    watched: Watched, kind: str, text: str, reply: str
) -> None:
    page = watched.page
    page.get_by_label("The reply is to be").select_option(kind)
    page.locator("#constraint-text").fill(text)
    send(page, "hello", "3")
    expect(page.locator("#text")).to_have_text(re.compile(f"^{reply}$"))
    page.get_by_label("The reply is to be").select_option("anything")
    expect(page.locator("#constraint-text")).to_be_hidden()


def test_a_constraint_that_is_wrong_is_marked(watched: Watched) -> None:
    page = watched.page
    page.get_by_label("The reply is to be").select_option("a value of a JSON schema")
    page.locator("#constraint-text").fill("{")
    send(page, "hello")
    expect(page.locator("#problem")).to_contain_text("constraint.json_schema: is no JSON")
    expect(page.locator("#constraint-text")).to_have_attribute("aria-invalid", "true")


def test_a_question_follows_on_what_was_said(watched: Watched, served: Served) -> None:
    page = watched.page
    send(page, "hello", seed="7")
    expect(fact(page, "Ended by")).to_be_visible()
    said = page.get_by_role("region", name="Reply", exact=True).text_content() or ""
    page.get_by_role("button", name="Ask on").click()
    expect(page.get_by_role("list", name="Said before").get_by_role("listitem")).to_have_text(
        ["hello", said]
    )
    send(page, "why?", seed="8")
    expect(fact(page, "Ended by")).to_be_visible()
    turns = [
        pb.Turn(role=pb.ROLE_USER, text="hello"),
        pb.Turn(role=pb.ROLE_AGENT, text=said),
        pb.Turn(role=pb.ROLE_USER, text="why?"),
    ]
    request = pb.GenerateRequest(conversation=pb.Conversation(turns=turns))
    request.sampling.seed = 8
    reply = page.get_by_role("region", name="Reply", exact=True)
    assert reply.text_content() == served.ask(request).text
    page.get_by_role("button", name="Start over").click()
    expect(page.get_by_role("list", name="Said before")).to_be_hidden()
    assert watched.complaints == []


def test_what_is_wrong_with_a_later_question_is_said_at_it(watched: Watched) -> None:
    page = watched.page
    send(page, "hello", seed="7")
    expect(fact(page, "Ended by")).to_be_visible()
    page.get_by_role("button", name="Ask on").click()
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#problem")).to_contain_text("conversation.turns[2].text")
    expect(page.get_by_label("Prompt", exact=True)).to_have_attribute("aria-invalid", "true")


def test_two_versions_answer_side_by_side(
    browser: Browser, tiny_store: Path, tmp_path: Path
) -> None:
    copy_version(tiny_store / "tiny" / "1", tmp_path)
    copy_version(tiny_store / "tiny" / "1", tmp_path, version=2)
    with (
        serve(tmp_path, "--version-policy", "all") as served,
        watch(browser, viewport=DESK) as watched,
    ):
        page = watched.page
        page.goto(served.process.metrics_url.removesuffix("metrics"))
        page.get_by_label("Beside it").select_option("tiny 1")
        send(page, "hello", seed="7")
        expect(fact(page, "Ended by").first).to_be_visible()
        other = page.locator("#other-facts")
        expect(other).to_contain_text("Ended by")
        expect(other).to_contain_text("tiny 1")
        expect(page.locator("#facts")).to_contain_text("tiny 2")
        for region in ("Reply", "The other reply"):
            assert page.get_by_role("region", name=region, exact=True).text_content()
        page.get_by_label("Beside it").select_option("nothing")
        send(page, "hello", seed="8")
        expect(page.get_by_role("region", name="The other reply")).to_be_hidden()


def test_figures_stand_side_by_side(browser: Browser, tiny_store: Path, tmp_path: Path) -> None:
    figures = {
        "perplexity_fp32": 9.5,
        "perplexity_stock_int8": 10,
        "perplexity_int8": 9.25,
        "replies": 200,
    }
    edit_manifest(copy_version(tiny_store / "tiny" / "1", tmp_path), evaluation=figures)
    with serve(tmp_path) as served, watch(browser, viewport=DESK) as watched:
        open_page(watched.page, served.process)
        watched.page.get_by_text("Evaluation", exact=True).click()
        rows = watched.page.get_by_role("article").get_by_role("row")
        expect(rows).to_have_text(["measurefp32stock INT8served INT8", "perplexity9.5109.25"])
        expect(watched.page.get_by_role("article")).to_contain_text("replies200")
