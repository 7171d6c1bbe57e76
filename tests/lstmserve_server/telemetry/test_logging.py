"""Log lines as people at a terminal see them."""

from __future__ import annotations

import io
import json
from typing import Any

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


@pytest.mark.parametrize(
    "value",
    [
        "",
        'a "quote"',
        "two\nlines",
        "\u2028\x85\x1b[31m",
        "\udc80",
        "é",
        1.5,
        None,
        ["a"],
        object(),
    ],
)
def test_a_line_of_whatever_values_is_one_line_of_ascii(value: object) -> None:
    line = logging._for_programs()[-1](None, "info", {"value": value})
    assert isinstance(line, str)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    known = json.loads(line)["value"]
    assert known == (repr(value) if type(value) is object else value)


def test_the_line_of_a_call_has_the_form_of_all_others(capfd: pytest.CaptureFixture[str]) -> None:
    log = logging.configure_logging("INFO", "json", worker=3)
    try:
        structlog.get_logger().info("one", number=1)
        log.tell("one", lambda: {"number": 1})
    finally:
        log.close()
        structlog.reset_defaults()
    lines: list[dict[str, Any]] = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    times = [line.pop("timestamp") for line in lines]
    assert lines[0] == lines[1] == {"worker": 3, "number": 1, "event": "one", "level": "info"}
    assert [*lines[0]] == [*lines[1]]
    assert times == sorted(times)
    assert {len(time) for time in times} == {len("2026-11-29T21:35:00.000000Z")}


def fail(secret: str) -> None:
    raise KeyError(len(secret))
