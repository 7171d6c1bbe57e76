"""``python -m benchmarks.screenshot``: a server under a little load, and its page in a browser."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from playwright.sync_api import Page

from benchmarks.load.options import open_server
from benchmarks.load.prompts import load_prompts, parse_popularity
from benchmarks.testbed.browser import start_browser
from lstmserve_client import Client

PROMPT = "where is my refund? I have waited for two weeks"
HEIGHT = 900
NUM_CALLERS = 24
THINKING_SECONDS = 0.4  # on average


class Scheme(StrEnum):
    """What the reader prefers."""

    LIGHT = "light"
    DARK = "dark"


def run(
    output: Annotated[Path, typer.Argument(help="Where the picture goes.")] = Path("docs/page.png"),
    seconds: Annotated[
        float, typer.Option(min=1, help="Of load before; the page's curves show 120.")
    ] = 120.0,
    scheme: Scheme = Scheme.LIGHT,
    width: Annotated[int, typer.Option(min=320, help="Of the window.")] = 1280,
) -> None:
    """Show a busy server's page as a picture."""
    arguments = ("--page", "on")
    with open_server(None, start=True, arguments=arguments) as server, start_browser() as browser:
        page = browser.new_page(
            viewport={"width": width, "height": HEIGHT}, color_scheme=scheme.value
        )
        page.goto((server.metrics_url or "").removesuffix("metrics"))
        with _a_little_load(server.target):
            page.wait_for_timeout(seconds * 1000)
            _try_prompt(page)
            page.screenshot(path=output, full_page=True)


@contextmanager
def _a_little_load(target: str) -> Iterator[None]:
    """A few callers of this server, who ask, think, and ask again, while the block takes."""
    is_over = threading.Event()
    callers = [
        threading.Thread(target=_call, args=(target, number, is_over))
        for number in range(NUM_CALLERS)
    ]
    for caller in callers:
        caller.start()
    try:
        yield
    finally:
        is_over.set()
        for caller in callers:
            caller.join()


def _call(target: str, number: int, is_over: threading.Event) -> None:
    source = random.Random(number)
    choose = parse_popularity("zipf:0.6", load_prompts())
    with Client(target) as client:
        while not is_over.wait(source.expovariate(1 / THINKING_SECONDS)):
            client.reply(choose(source))


def _try_prompt(page: Page) -> None:
    page.get_by_label("Prompt", exact=True).fill(PROMPT)
    page.get_by_label("Seed", exact=True).fill("7")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Ended by").wait_for()
    page.evaluate("document.activeElement.blur()")


def main() -> None:
    typer.run(run)
