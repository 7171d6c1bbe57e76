"""The loop of an engine's process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lstmserve_server.engine.process.main import run_turns


class Steps:
    """Stands for the engine, its model and its channel, and notes what is done to them."""

    has_work = True

    def __init__(self) -> None:
        self.done: list[str] = []
        self.runner = self

    def note_arrivals(self) -> None:
        self.done.append("note")

    def commands(self, *, is_waiting: bool) -> Iterator[str]:
        assert not is_waiting
        self.done.append("read")
        if self.done.count("read") > 2:
            raise EOFError
        yield "command"

    def run(self, command: str) -> None:
        self.done.append(command)

    def turn(self) -> str:
        return "turn"

    def send(self, message: str) -> None:
        self.done.append(message)


def test_what_comes_after_messages_are_looked_for_is_news_to_the_next_quantum() -> None:
    all_of_it: Any = Steps()
    with pytest.raises(EOFError):
        run_turns(all_of_it, all_of_it, all_of_it)
    assert all_of_it.done == ["note", "read", "command", "turn"] * 2 + ["note", "read"]
