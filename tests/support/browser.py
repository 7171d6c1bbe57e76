"""Pages in a browser, with what they said and asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, ConsoleMessage, Page, Request


@dataclass
class Watched:
    """A page, and what it said and asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)  # URLs

    def __post_init__(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        self.complaints.append(message.text)

    def _on_request(self, request: Request) -> None:
        self.requested.append(request.url)


@contextmanager
def watch(browser: Browser, **options: object) -> Iterator[Watched]:
    """A blank page."""
    page = browser.new_page(**options)
    yield Watched(page)
    page.close()
