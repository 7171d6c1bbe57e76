"""Log lines as people at a terminal see them."""

from __future__ import annotations

import io

import pytest
import structlog

from lstmserve_server.telemetry import logging


def test_a_traceback_shows_no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may be prompts or tokens."""
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    log = structlog.wrap_logger(structlog.PrintLogger(written), processors=logging._for_people())
    try:
        fail(f"lst_{'x' * 43}")
    except KeyError:
        log.exception("a bug")
    shown = written.getvalue()
    assert "KeyError: 47" in shown
    assert "raise KeyError(len(secret))" in shown
    assert "xxx" not in shown


def fail(secret: str) -> None:
    raise KeyError(len(secret))
