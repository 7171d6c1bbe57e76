"""Tells what is known of each version that is served, and counts and logs what becomes of it."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

import structlog

from lstmserve_bundle import Manifest
from lstmserve_server.store.directives import VersionId
from lstmserve_server.store.served_model import ServedModel
from lstmserve_server.store.version_record import VersionState
from lstmserve_server.telemetry.metrics import MODEL_STATES, Metrics

# what needs no line here has one of its own when it is done
LEVELS = {"unloading": logging.INFO, "failed": logging.ERROR}
# with a reason: it waits for its files to settle; they are no longer what is served
REASON_LEVELS = {"unloaded": logging.INFO, "ready": logging.WARNING}

# of the turns that the model is to write, by the module that is served
REFERENCE = "reply_perplexity_int8"
OLDER_REFERENCE = "chat_agent_turn_perplexity_int8"  # what support-en 2 calls it

log = structlog.get_logger()


class ModelMetrics:
    """Turns what the store does into metrics and a log line for every change."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._models = metrics.models

    def on_state(self, version: VersionId, state: VersionState | None, reason: str) -> None:
        """A version is in another state; without one it is known no more."""
        name, number = version[0], str(version[1])
        if state is None:
            for each in MODEL_STATES:
                self._models.state.remove(name, number, each)
            log.info("version is gone from the store", model=name, version=number)
            return
        self._models.set_state(name, number, state.value)
        facts = {"reason": reason} if reason else {}
        usual = REASON_LEVELS.get(state.value) if reason else None
        level = LEVELS.get(state.value, usual or logging.DEBUG)
        log.log(level, "version", model=name, version=number, state=state.value, **facts)

    def on_load(self, version: VersionId, seconds: float, *, is_good: bool) -> None:
        """An attempt to load a version took so long."""
        name, number = version[0], str(version[1])
        for outcome, count in (("ok", is_good), ("failed", not is_good)):
            self._models.loads.labels(name, number, outcome).inc(count)
        self._models.load_seconds.labels(name).observe(seconds)
        if is_good:
            log.info("loaded", model=name, version=number, seconds=round(seconds, 3))

    def on_shares(self, shares: Mapping[VersionId, float]) -> None:
        """Requests are dealt out like this from now on."""
        self._models.traffic_share.clear()
        for (name, number), share in shares.items():
            self._models.traffic_share.labels(name, str(number)).set(share)

    def on_unloaded(self, model: ServedModel) -> None:
        """A version's engine has ended."""
        self._metrics.forget(model.name, model.version)
        log.info("unloaded", model=model.name, version=model.version)


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
