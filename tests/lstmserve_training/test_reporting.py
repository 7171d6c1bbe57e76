from __future__ import annotations

import io

from rich.console import Console

from lstmserve_training.report import make_table
from lstmserve_training.reporting import BarReporter, LineReporter, reporter_for


def test_a_log_gets_a_line_every_hundred_steps() -> None:
    console = Console(file=io.StringIO(), width=60)
    with reporter_for(console) as reporter:
        assert isinstance(reporter, LineReporter)
        for step in range(0, 420, 7):
            reporter.step(step, 420, 1, 2.5)
        reporter.epoch(1, {"chats": 20.0, "answers": 6.5})
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0] == "step 105 of 420, epoch 1, loss 2.500 nats"
    assert len(lines) == 5
    assert lines[-1] == "epoch 1: held-out perplexity: chats 20.000, answers 6.500"


def test_a_terminal_gets_a_bar() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with reporter_for(console) as reporter:
        assert isinstance(reporter, BarReporter)
        reporter.step(5, 10, 1, 2.5)
        reporter.epoch(1, {"chats": 20.0})
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "5/10" in text
    assert "chats 20.000" in text


def test_the_table_has_a_column_per_model() -> None:
    console = Console(file=io.StringIO(), width=120)
    measures = {"epoch": 3, "size_int8": 12000, "size_stock_int8": 15000, "accuracy_int8": 0.5}
    console.print(make_table(measures, ("fp32", "stock_int8", "int8")))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert [word for word in ("15,000", "12,000", "0.5000", "epoch 3") if word not in text] == []
    assert text.index("15,000") < text.index("12,000")
