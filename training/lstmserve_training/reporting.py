"""Tells a person how a training run is doing: a bar on a terminal, lines in a log."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

LINE_STEPS = 100


class Reporter(Protocol):
    """What the trainer tells; ``loss`` is the weighted training loss in nats."""

    def step(self, step: int, total: int, epoch: int, loss: float) -> None: ...

    def epoch(self, epoch: int, measures: Mapping[str, float]) -> None: ...


class BarReporter:
    """A progress bar."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("training", total=None)

    def step(self, step: int, total: int, epoch: int, loss: float) -> None:
        description = f"epoch {epoch}, loss {loss:.3f} nats"
        self._progress.update(self._task, completed=step, total=total, description=description)

    def epoch(self, epoch: int, measures: Mapping[str, float]) -> None:
        self._progress.console.print(_epoch_line(epoch, measures), highlight=False)


class LineReporter:
    """A line every hundred steps, for logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines = 0

    def step(self, step: int, total: int, epoch: int, loss: float) -> None:
        # a batch takes several steps, so a hundred may be stepped over
        if step // LINE_STEPS > self._lines:
            self._lines = step // LINE_STEPS
            self._say(f"step {step} of {total}, epoch {epoch}, loss {loss:.3f} nats")

    def epoch(self, epoch: int, measures: Mapping[str, float]) -> None:
        self._say(_epoch_line(epoch, measures))

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, highlight=False)


@contextmanager
def reporter_for(console: Console) -> Iterator[Reporter]:
    """A bar where somebody watches, lines where nobody does."""
    if not console.is_terminal:
        yield LineReporter(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        yield BarReporter(progress)


def _epoch_line(epoch: int, measures: Mapping[str, float]) -> str:
    found = ", ".join(f"{name} {value:.3f}" for name, value in measures.items())
    return f"epoch {epoch}: held-out perplexity: {found}"
