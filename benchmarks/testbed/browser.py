"""A headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.testbed.process import ProgramError

CHROMIUM = "/usr/bin/chromium"  # Debian's
# it may run as root, and talks to nobody but the page's server
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def start_browser() -> Iterator[Browser]:
    """With a profile of its own; raises ProgramError if it is not installed.

    Run no event loop within the block: it has one.
    """
    if not Path(CHROMIUM).exists():
        raise ProgramError(f"no {CHROMIUM}: install it (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()
