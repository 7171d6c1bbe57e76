"""Tells a person how a training run is doing: a bar on a terminal, lines in a log, a file."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from lstmserve_training.errors import TrainingError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

LINE_SECONDS = 10.0
LOG_SECONDS = 1.0  # between two lines of the file, from which curves are drawn
SMOOTHING = 0.9
SHOWN_CHARACTERS = 100
BAR_WIDTH = 10


@dataclass(frozen=True)
class StepFacts:
    """Where a run is; ``loss`` is the weighted training loss in nats, ``tokens`` all so far."""

    step: int
    total: int
    epoch: int
    loss: float
    learning_rate: float
    gradient_norm: float  # before it is clipped
    tokens: int


class Reporter(Protocol):
    """What the trainer tells."""

    def step(self, facts: StepFacts) -> None: ...

    def epoch(
        self,
        epoch: int,
        step: int,
        measures: Mapping[str, float],
        samples: Sequence[tuple[str, str]],
    ) -> None: ...


class Pace:
    """How fast it goes since it was started, and how smooth the loss is."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._start: tuple[float, StepFacts] | None = None
        self._loss = math.nan

    def describe(self, facts: StepFacts) -> str:
        """Loss, learning rate, gradient norm, tokens/s and time left."""
        speed, left = self._measure(facts)
        text = (
            f"loss {self._loss:.3f}, learning rate {facts.learning_rate:.2g}, "
            f"gradient {facts.gradient_norm:.2f}"
        )
        return f"{text}, {speed:,.0f} tokens/s, {_show_time(left)} left" if speed else text

    def describe_shortly(self, facts: StepFacts) -> str:
        """The same for one line of a terminal of 80 columns, beside a bar."""
        speed, left = self._measure(facts)
        text = (
            f"loss {self._loss:.3f} rate {facts.learning_rate:.1e} grad {facts.gradient_norm:.2f}"
        )
        return f"{text} {speed / 1000:.1f}k tok/s {_show_time(left)} left" if speed else text

    def _measure(self, facts: StepFacts) -> tuple[float, float]:
        """Tokens a second and seconds left; 0 where it is too early to tell."""
        now = self._clock()
        before = facts.loss if math.isnan(self._loss) else self._loss
        self._loss = SMOOTHING * before + (1 - SMOOTHING) * facts.loss
        if self._start is None:
            self._start = (now, facts)
        began, first = self._start
        if facts.step == first.step:
            return 0.0, 0.0
        seconds = max(now - began, 1e-9)
        left = (facts.total - facts.step) * seconds / (facts.step - first.step)
        return (facts.tokens - first.tokens) / seconds, left


class BarReporter:
    """A progress bar."""

    def __init__(self, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._task = progress.add_task("training", total=None)
        self._pace = Pace(clock)

    def step(self, facts: StepFacts) -> None:
        description = f"epoch {facts.epoch} {self._pace.describe_shortly(facts)}"
        self._progress.update(
            self._task, completed=facts.step, total=facts.total, description=description
        )

    def epoch(
        self,
        epoch: int,
        step: int,  # noqa: ARG002 - a line of the protocol
        measures: Mapping[str, float],
        samples: Sequence[tuple[str, str]],
    ) -> None:
        for line in _epoch_lines(epoch, measures, samples):
            self._progress.console.print(escape(line), highlight=False)


class LineReporter:
    """A line every ten seconds, for logs."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._pace = Pace(clock)
        self._told_at = -math.inf

    def step(self, facts: StepFacts) -> None:
        text = self._pace.describe(facts)
        if self._clock() - self._told_at >= LINE_SECONDS:
            self._told_at = self._clock()
            self._say(f"step {facts.step:,} of {facts.total:,}, epoch {facts.epoch}, {text}")

    def epoch(
        self,
        epoch: int,
        step: int,  # noqa: ARG002 - a line of the protocol
        measures: Mapping[str, float],
        samples: Sequence[tuple[str, str]],
    ) -> None:
        for line in _epoch_lines(epoch, measures, samples):
            self._say(line)

    def _say(self, line: str) -> None:
        self._console.print(escape(line), soft_wrap=True, highlight=False)


class LogReporter:
    """Lines of JSON in the run's folder, from which ``compare`` draws its curves."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._told_at = -math.inf

    def step(self, facts: StepFacts) -> None:
        if self._clock() - self._told_at >= LOG_SECONDS:
            self._told_at = self._clock()
            self._write(
                step=facts.step,
                loss=facts.loss,
                learning_rate=facts.learning_rate,
                gradient_norm=facts.gradient_norm,
                tokens=facts.tokens,
            )

    def epoch(
        self,
        epoch: int,
        step: int,
        measures: Mapping[str, float],
        samples: Sequence[tuple[str, str]],
    ) -> None:
        self._write(epoch=epoch, step=step, perplexity=dict(measures), samples=list(samples))

    def _write(self, **facts: object) -> None:
        with self._path.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"at": time.time(), **facts}, ensure_ascii=False) + "\n")


class TensorBoardReporter:
    """Curves for TensorBoard."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an extra
        except ModuleNotFoundError:
            raise TrainingError(
                "training.tensorboard needs a package; run: pip install tensorboard"
            ) from None
        self._writer = SummaryWriter(str(folder))

    def step(self, facts: StepFacts) -> None:
        for name in ("loss", "learning_rate", "gradient_norm"):
            self._add(f"training/{name}", getattr(facts, name), facts.step)

    def epoch(
        self,
        epoch: int,  # noqa: ARG002 - a line of the protocol
        step: int,
        measures: Mapping[str, float],
        samples: Sequence[tuple[str, str]],
    ) -> None:
        for kind, value in measures.items():
            self._add(f"held-out perplexity/{kind}", value, step)
        text = "\n\n".join(f"**{prompt}** {reply}" for prompt, reply in samples)
        self._writer.add_text("samples", text, step)
        self._writer.flush()

    def _add(self, name: str, value: float, step: int) -> None:
        self._writer.add_scalar(name, value, step)


class Reporters:
    """Tells several."""

    def __init__(self, reporters: Sequence[Reporter]) -> None:
        self._reporters = reporters

    def step(self, facts: StepFacts) -> None:
        for reporter in self._reporters:
            reporter.step(facts)

    def epoch(
        self,
        epoch: int,
        step: int,
        measures: Mapping[str, float],
        samples: Sequence[tuple[str, str]],
    ) -> None:
        for reporter in self._reporters:
            reporter.epoch(epoch, step, measures, samples)


@contextmanager
def reporter_for(console: Console) -> Iterator[Reporter]:
    """A bar where somebody watches, lines where nobody does."""
    if not console.is_terminal:
        yield LineReporter(console)
        return
    columns = (BarColumn(BAR_WIDTH), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        yield BarReporter(progress)


def _epoch_lines(
    epoch: int, measures: Mapping[str, float], samples: Sequence[tuple[str, str]]
) -> Iterator[str]:
    found = ", ".join(f"{kind} {value:.3f}" for kind, value in measures.items())
    losses = ", ".join(f"{math.log(value):.3f}" for value in measures.values())
    yield f"epoch {epoch}: held-out perplexity: {found} (loss {losses})"
    for prompt, reply in samples:
        yield f"  {_one_line(prompt)} -> {_one_line(reply)}"


def _one_line(text: str) -> str:
    shown = text.replace("\n", " / ")
    return shown if len(shown) <= SHOWN_CHARACTERS else shown[:SHOWN_CHARACTERS] + " …"


def _show_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
