"""The page of memory that an engine shares with its server, where both are one process."""

from __future__ import annotations

import os

from lstmserve_server.engine.shared_page import SharedPage, make_page


def map_page() -> SharedPage:
    """Return a page of its own; it goes with the last who refers to it."""
    descriptor = make_page()
    try:
        return SharedPage(descriptor)
    finally:
        os.close(descriptor)
