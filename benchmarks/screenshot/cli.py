"""``python -m benchmarks.screenshot``: a server under a little load, and its page in a browser."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from playwright.sync_api import Page

from benchmarks.screenshot.browser import start_browser
from benchmarks.screenshot.load import a_little_load
from benchmarks.testbed.server import start_server

PROMPT = "where is my refund? I have waited for two weeks"
HEIGHT = 900


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
    with start_server(["--page", "on"]) as server, a_little_load(server.target):
        if server.metrics_url is None:
            raise typer.BadParameter("the server says not where its metrics are")
        with start_browser() as browser:
            page = browser.new_page(
                viewport={"width": width, "height": HEIGHT}, color_scheme=scheme.value
            )
            page.goto(server.metrics_url.removesuffix("metrics"))
            page.wait_for_timeout(seconds * 1000)
            _try_prompt(page)
            page.screenshot(path=output, full_page=True)


def _try_prompt(page: Page) -> None:
    page.get_by_label("Prompt", exact=True).fill(PROMPT)
    page.get_by_label("Seed", exact=True).fill("7")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Ended by").wait_for()
    page.evaluate("document.activeElement.blur()")


def main() -> None:
    typer.run(run)
