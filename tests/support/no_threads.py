"""A system that lets no further thread be started."""

from __future__ import annotations

import threading

import pytest


def allow_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is undone."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
