from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from rich.console import Console

from lstmserve_training.errors import TrainingError
from lstmserve_training.report import make_table
from lstmserve_training.reporting import (
    BarReporter,
    LineReporter,
    LogReporter,
    Reporters,
    StepFacts,
    TensorBoardReporter,
    reporter_for,
)


def facts(step: int, total: int = 420) -> StepFacts:
    return StepFacts(step, total, 1, 2.5, 0.002, 0.4, step * 100)


def test_a_log_gets_a_line_every_ten_seconds() -> None:
    console = Console(file=io.StringIO(), width=60)
    now = iter(range(1000))
    seconds = 0.0
    reporter = LineReporter(console, clock=lambda: seconds)
    for step in range(1, 421):
        seconds = 0.25 * next(now)
        reporter.step(facts(step))
    reporter.epoch(1, 420, {"replies": math.exp(2)}, [("hi", "one\ntwo"), ("[ok]", "x" * 200)])
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0] == "step 1 of 420, epoch 1, loss 2.500, learning rate 0.002, gradient 0.40"
    assert lines[1].startswith("step 41 of 420")
    assert lines[1].endswith("400 tokens/s, 1:35 left")
    assert len(lines) == 11 + 3
    assert lines[-3] == "epoch 1: held-out perplexity: replies 7.389 (loss 2.000)"
    assert lines[-2] == "  hi -> one / two"
    assert lines[-1].startswith("  [ok] -> xxx")
    assert len(lines[-1]) < 120


def test_what_is_no_terminal_gets_lines() -> None:
    with reporter_for(Console(file=io.StringIO())) as reporter:
        assert isinstance(reporter, LineReporter)


def test_a_terminal_gets_a_bar() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with reporter_for(console) as reporter:
        assert isinstance(reporter, BarReporter)
        reporter.step(facts(5, total=10))
        reporter.step(facts(6, total=10))
        reporter.epoch(1, 5, {"lines": 20.0}, [])
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "epoch 1 loss 2.500 rate 2.0e-03 grad 0.40" in text
    assert "left" in text  # nothing is cut off
    assert "━" in text
    assert "lines 20.000" in text


def test_curves_are_kept_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "training.jsonl"
    seconds = iter([0.0, 0.0, 0.5, 2.0, 2.0])
    reporter = LogReporter(path, clock=lambda: next(seconds))
    for step in (1, 2, 3):
        reporter.step(facts(step))
    reporter.epoch(1, 3, {"lines": 4.0}, [("", "a line")])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 3, 3]
    assert lines[0]["loss"] == 2.5
    assert (lines[2]["perplexity"], lines[2]["samples"]) == ({"lines": 4.0}, [["", "a line"]])


class Writer:
    """Stands in for TensorBoard's."""

    made: ClassVar[list[Writer]] = []

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.scalars: list[tuple[str, float, int]] = []
        self.made.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def add_text(self, name: str, text: str, step: int) -> None:
        assert (name, text, step) == ("samples", "**hi** there", 7)

    def flush(self) -> None:
        pass


def test_tensorboard_gets_the_curves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    reporter = Reporters([TensorBoardReporter(tmp_path / "tensorboard")])
    reporter.step(facts(7))
    reporter.epoch(1, 7, {"lines": 3.0}, [("hi", "there")])
    (writer,) = Writer.made
    assert writer.folder == str(tmp_path / "tensorboard")
    assert writer.scalars == [
        ("training/loss", 2.5, 7),
        ("training/learning_rate", 0.002, 7),
        ("training/gradient_norm", 0.4, 7),
        ("held-out perplexity/lines", 3.0, 7),
    ]


def test_a_missing_tensorboard_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(TrainingError, match=r"pip install tensorboard"):
        TensorBoardReporter(tmp_path)


def test_the_table_has_a_column_per_model() -> None:
    console = Console(file=io.StringIO(), width=120)
    measures = {"epoch": 3, "size_int8": 12000, "size_stock_int8": 15000, "accuracy_int8": 0.5}
    console.print(make_table(measures, ("fp32", "stock_int8", "int8")))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert [word for word in ("15,000", "12,000", "0.5000", "epoch 3") if word not in text] == []
    assert text.index("15,000") < text.index("12,000")
