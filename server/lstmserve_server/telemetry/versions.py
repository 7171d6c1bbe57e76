"""Facts of a version that is served, and how busy its engine is at every scrape."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from lstmserve_server.telemetry.metrics import Metrics

if TYPE_CHECKING:  # telling them needs neither
    from lstmserve_bundle import Manifest
    from lstmserve_server.config import EngineConfig
    from lstmserve_server.engine.engine import EngineLoad

# of the turns that the model is to write, by the module that is served
REFERENCE = "chat_agent_turn_perplexity_int8"


def describe_version(metrics: Metrics, manifest: Manifest, state_bytes: int) -> None:
    """What stays the same while it is served."""
    labels = (manifest.name, str(manifest.version))
    models = metrics.models
    models.bytes.labels(*labels).set(manifest.size_bytes)
    models.state_bytes.labels(*labels).set(state_bytes)
    models.info.labels(*labels).info({"digest": manifest.digest, "family": manifest.family})
    reference = manifest.evaluation.get(REFERENCE)
    if reference is not None:
        metrics.quality.reference_log_perplexity.labels(*labels).set(math.log(float(reference)))


def watch_engine(
    metrics: Metrics,
    model: str,
    version: str,
    load: Callable[[], EngineLoad],
    bounds: EngineConfig,
) -> None:
    """How busy its engine is, and how busy it may be."""
    engine, labels = metrics.engine, (model, version)
    engine.running_sequences.labels(*labels).set_function(lambda: load().running)
    engine.waiting_sequences.labels(*labels).set_function(lambda: load().waiting)
    engine.waiting_tokens.labels(*labels).set_function(lambda: load().waiting_tokens)
    engine.parked_sequences.labels(*labels).set_function(lambda: load().parked)
    engine.max_running_sequences.labels(*labels).set(bounds.max_running)
    engine.max_waiting_sequences.labels(*labels).set(bounds.max_waiting)
