"""What a manifest tells of its version, whatever stands in it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from lstmserve_bundle.manifest import read_manifest
from lstmserve_server.telemetry.metrics import Metrics
from lstmserve_server.telemetry.versions import OLDER_REFERENCE, REFERENCE, describe_version
from support.stores import copy_version, edit_manifest


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
