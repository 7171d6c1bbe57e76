"""How the warming of a cache goes: a bar for those who watch, failures, and a last line."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from lstmserve_client.cache.prompts import PromptLine
from lstmserve_client.console import describe, write, write_note
from lstmserve_client.errors import LstmserveError
from lstmserve_client.types import CacheWarmed


class WarmReport:
    """Counts results; at the end of its block, also of one that is interrupted, tells them."""

    def __init__(self, num_prompts: int, target: str) -> None:
        self.num_failed = 0
        self._num_prompts = num_prompts
        self._num_done = self._num_generated = self._num_stored = 0
        self._target = target
        self._progress = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,  # the last line says the same
            disable=not sys.stderr.isatty(),
        )
        self._bar = self._progress.add_task("", total=num_prompts)

    def __enter__(self) -> Self:
        self._started_at = time.monotonic()
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()
        write(self._summary() + "\n")

    def add(self, line: PromptLine, result: CacheWarmed | LstmserveError) -> None:
        """Count one line's result, and tell it if it is a failure."""
        self._num_done += 1
        if isinstance(result, CacheWarmed):
            self._num_generated += result.generated
            self._num_stored += result.already_stored
        else:
            self.num_failed += 1
            write_note(f"line {line.number}: {describe(result, self._target)}")
        self._progress.advance(self._bar)

    def _summary(self) -> str:
        is_complete = self._num_done == self._num_prompts
        of = "" if is_complete else f" of {self._num_prompts:,}"
        return (
            f"{self._num_done:,}{of} prompts: {self._num_generated:,} replies generated, "
            f"{self._num_stored:,} already stored, {self.num_failed:,} prompts failed, "
            f"{time.monotonic() - self._started_at:.1f} s"
        )
