"""A log file that nobody reads."""

from __future__ import annotations

import io
import threading

from lstmserve_server.telemetry.background_file import MAX_QUEUED_LINES, BackgroundFile

WAIT_SECONDS = 60


class StuckFile(io.StringIO):
    """Takes nothing until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.released = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.released.wait(WAIT_SECONDS)
        return super().write(text)


def test_lines_that_find_the_queue_full_are_told_and_counted() -> None:
    stuck, dropped = StuckFile(), []
    file = BackgroundFile(stuck)
    file.on_drop = lambda: dropped.append(1)
    file.write("first\n")
    assert stuck.reached.wait(WAIT_SECONDS)
    for number in range(MAX_QUEUED_LINES + 7):
        file.write(f"{number}\n")
    assert len(dropped) == 7
    stuck.released.set()
    file.close()
    lines = stuck.getvalue().splitlines()
    assert lines[:2] == ["first", '{"event": "log lines dropped", "count": 7}']
    assert lines[2:] == [str(number) for number in range(MAX_QUEUED_LINES)]


def test_a_text_that_cannot_be_made_is_told_and_keeps_no_other_from_being_written() -> None:
    written = io.StringIO()
    file = BackgroundFile(written)
    file.write_later(lambda: str(1 // 0))
    file.write_later(lambda: "fine\n")
    file.close()
    lost, fine = written.getvalue().splitlines()
    assert "ZeroDivisionError" in lost
    assert fine == "fine"
