"""What is logged of versions that come and go."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from lstmserve_server.store.version_record import VersionState
from lstmserve_server.telemetry.metrics import Metrics
from lstmserve_server.telemetry.models import ModelMetrics


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
