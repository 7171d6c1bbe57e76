"""The page outlives whatever the engine's process does to its file."""

from __future__ import annotations

import os

import pytest

from lstmserve_server.engine.shared_page import SharedPage, make_page


@pytest.mark.parametrize("size", [0, 1 << 20])
def test_nobody_can_give_the_page_another_size(size: int) -> None:
    """To read where a file was cut off would end the server by SIGBUS."""
    descriptor = make_page()
    page = SharedPage(descriptor)
    try:
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, size)
        page.take_in_hand([5])
        assert page.in_hand == [5]
    finally:
        page.close()
        os.close(descriptor)
