"""What is told of a version, and logged of those that come and go."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from lstmserve_bundle.manifest import read_manifest
from lstmserve_server.store.version_record import VersionState
from lstmserve_server.telemetry.metrics import Metrics
from lstmserve_server.telemetry.models import (
    OLDER_REFERENCE,
    REFERENCE,
    ModelMetrics,
    describe_version,
)
from support.stores import copy_version, edit_manifest


@pytest.mark.parametrize(
    ("state", "reason", "level"),
    [
        (VersionState.LOADING, "", "debug"),
        (VersionState.UNLOADED, "not settled", "info"),  # as every version is for a moment
        (VersionState.READY, "deleted", "warning"),
        (VersionState.FAILED, "its SHA-256 differs", "error"),
    ],
)
def test_a_line_is_as_severe_as_what_became_of_a_version(
    state: VersionState, reason: str, level: str
) -> None:
    metrics = ModelMetrics(Metrics(CollectorRegistry()))
    with capture_logs() as lines:
        metrics.on_state(("tiny", 2), state, reason)
    (line,) = lines
    assert (line["log_level"], line["version"], line["state"]) == (level, "2", state.value)
    assert line.get("reason", "") == reason


@pytest.mark.parametrize(
    ("evaluation", "expected"),
    [
        ({REFERENCE: 12.5}, math.log(12.5)),
        ({REFERENCE: 12}, math.log(12)),
        ({OLDER_REFERENCE: 12.5}, math.log(12.5)),
        ({OLDER_REFERENCE: 12.5, REFERENCE: 3.0}, math.log(3.0)),
        ({REFERENCE: 0}, None),
        ({REFERENCE: -1.5}, None),
        ({REFERENCE: "not measured"}, None),
        ({}, None),
    ],
)
def test_only_a_perplexity_has_a_logarithm(
    tiny_store: Path, tmp_path: Path, evaluation: dict[str, object], expected: float | None
) -> None:
    folder = copy_version(tiny_store / "tiny" / "1", tmp_path)
    edit_manifest(folder, evaluation=evaluation)
    registry = CollectorRegistry()
    describe_version(Metrics(registry), read_manifest(folder), state_bytes=1)
    labels = {"model": "tiny", "version": "1"}
    found = registry.get_sample_value("lstmserve_reference_log_perplexity", labels)
    assert found == expected
