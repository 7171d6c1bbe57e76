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
    log = structlog.wrap_logger(
        structlog.PrintLogger(written),
        processors=logging._for_people(),
        cache_logger_on_first_use=False,
    )
    secret = "lst_" + "x" * 43
    try:
        raise KeyError(len(secret))
    except KeyError:
        log.error("a bug", exc_info=True)
    shown = written.getvalue()
    assert "KeyError: 47" in shown
    assert "raise KeyError(len(secret))" in shown
    assert "xxx" not in shown
