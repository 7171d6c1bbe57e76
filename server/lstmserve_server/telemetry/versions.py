"""Facts of a version that is served, and how busy its engine is at every scrape."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from lstmserve_server.telemetry.metrics import Metrics

if TYPE_CHECKING:  # telling them needs neither
    from lstmserve_bundle import Manifest
    from lstmserve_server.config import EngineConfig
    from lstmserve_server.engine.client import EngineClient
    from lstmserve_server.engine.messages import Load

# of the turns that the model is to write, by the module that is served
REFERENCE = "reply_perplexity_int8"
OLDER_REFERENCE = "chat_agent_turn_perplexity_int8"  # what support-en 2 calls it


def describe_version(
    metrics: Metrics, manifest: Manifest, state_bytes: int, *, is_inexact: bool = False
) -> None:
    """What stays the same while it is served."""
    labels = (manifest.name, str(manifest.version))
    models = metrics.models
    models.bytes.labels(*labels).set(manifest.size_bytes)
    models.state_bytes.labels(*labels).set(state_bytes)
    models.inexact.labels(*labels).set(is_inexact)
    models.info.labels(*labels).info({"digest": manifest.digest, "family": manifest.family})
    measures = manifest.evaluation
    reference = measures.get(REFERENCE, measures.get(OLDER_REFERENCE))
    # whoever publishes may write there what they like: it must not keep a good model from callers
    if isinstance(reference, int | float) and reference > 0:
        metrics.quality.reference_log_perplexity.labels(*labels).set(math.log(reference))


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
