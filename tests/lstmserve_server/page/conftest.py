"""A page that believes in a server, and one that has one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from lstmserve_server.config import Address, PageConfig
from lstmserve_server.page.application import Page

NOBODY = Address("127.0.0.1", 1)  # a port on which nothing listens


@pytest.fixture
def connected() -> Iterator[Page]:
    """A page whose server is gone."""
    with closing(Page(PageConfig(is_on=True))) as page:
        page.connect(NOBODY)
        yield page
