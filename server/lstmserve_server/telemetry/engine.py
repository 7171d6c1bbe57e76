"""Counts what engines do (``engine.observer.EngineObserver``), and tells how busy they are."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.client import EngineClient
from lstmserve_server.engine.launcher import REASONS
from lstmserve_server.engine.messages import Load
from lstmserve_server.engine.output import FinishReason
from lstmserve_server.telemetry.metrics import Metrics, QualityFamilies
from lstmserve_server.telemetry.quality import QualityWindow

WASTE = ("finished", "cancelled")
DRAFTS = ("accepted", "rejected")


class EngineMetrics:
    """Records what one version's engine does; called on the event loop."""

    def __init__(self, metrics: Metrics, model: str, version: str) -> None:
        families, labels = metrics.engine, (model, version)
        self._window = QualityWindow()
        _watch_quality(metrics.quality, labels, self._window)
        self._wasted = {reason: families.wasted_tokens.labels(*labels, reason) for reason in WASTE}
        self._drafted = {name: families.drafted_tokens.labels(*labels, name) for name in DRAFTS}
        self._restarts = {reason: families.restarts.labels(*labels, reason) for reason in REASONS}
        self._step_seconds = families.step_seconds.labels(*labels)
        self._batch_rows = families.batch_rows.labels(*labels)
        self._cancel_seconds = families.cancel_seconds.labels(*labels)

    def on_decode(self, rows: int, steps: int, seconds: float) -> None:
        """A decode call over this many rows and steps took so long."""
        self._batch_rows.observe(rows)
        self._step_seconds.observe(seconds / steps)

    def on_drafted(self, guessed: int, right: int) -> None:
        """Tokens were guessed ahead, and so many of them were right."""
        if guessed:
            self._drafted["accepted"].inc(right)
            self._drafted["rejected"].inc(guessed - right)

    def on_wasted(self, tokens: int, reason: str) -> None:
        """Tokens were decoded for nobody."""
        if tokens:
            self._wasted[reason].inc(tokens)

    def on_scored(self, nats: Sequence[float]) -> None:
        """A measured reply has further tokens, of these negative log-probabilities."""
        self._window.add_tokens(nats)

    def on_measured(self, text: str, reason: FinishReason) -> None:
        """A measured reply is complete."""
        self._window.add_reply(text, is_cut=reason is FinishReason.MAX_TOKENS)

    def on_restart(self, reason: str) -> None:
        """The engine's process has ended, and another one goes on."""
        self._restarts[reason].inc()

    def on_cancelled(self, seconds: float) -> None:
        """A reply is gone, so long after its caller left or its deadline passed."""
        self._cancel_seconds.observe(seconds)


def watch_engine(
    metrics: Metrics,
    model: str,
    version: str,
    busy: EngineClient,
    bounds: EngineConfig,
) -> None:
    """How busy its engine is, and how busy it may be."""
    engine, labels = metrics.engine, (model, version)
    # a gauge with a function is a cycle: an engine in it would stay until somebody collects those
    known = weakref.ref(busy)

    def read(number: Callable[[Load], int]) -> Callable[[], float]:
        return lambda: math.nan if (engine := known()) is None else number(engine.load)

    engine.running_sequences.labels(*labels).set_function(read(lambda load: load.running))
    engine.waiting_sequences.labels(*labels).set_function(read(lambda load: load.waiting))
    engine.waiting_tokens.labels(*labels).set_function(read(lambda load: load.waiting_tokens))
    engine.parked_sequences.labels(*labels).set_function(read(lambda load: load.parked))
    engine.max_running_sequences.labels(*labels).set(bounds.max_running)
    engine.max_waiting_sequences.labels(*labels).set(bounds.max_waiting)


def _watch_quality(
    families: QualityFamilies, labels: tuple[str, str], window: QualityWindow
) -> None:
    """Read the window at every scrape."""
    families.log_perplexity.labels(*labels).set_function(lambda: window.log_perplexity)
    families.distinct.labels(*labels, 1).set_function(lambda: window.distinct(1))
    families.distinct.labels(*labels, 2).set_function(lambda: window.distinct(2))
    families.empty_ratio.labels(*labels).set_function(lambda: window.empty_ratio)
    families.length_limit_ratio.labels(*labels).set_function(lambda: window.length_limit_ratio)
    families.window_tokens.labels(*labels).set_function(lambda: window.num_tokens)
