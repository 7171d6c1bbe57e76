"""Every manifest, read by Checkov: what it would have otherwise is listed here, with the reason."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from benchmarks.testbed.process import run_program
from support.chart import MANIFESTS_BIN, SETTINGS, render
from support.kustomize import FOLDERS, build_text

pytestmark = pytest.mark.system

ARGUMENTS = [
    "--framework",
    "kubernetes",
    "--output",
    "json",
    "--quiet",
    "--compact",
    "--skip-download",
]
ON_PURPOSE = {
    "CKV_K8S_11": "no limit on cores: to be interrupted within a quantum is what callers notice",
    "CKV_K8S_15": "images have fixed tags: pods start also while the registry is away",
    "CKV_K8S_35": "the URL of Redis is an option of the server, and those are no files",
    "CKV_K8S_43": "whoever pushes the image knows its digest; image.digest pins it",
}


def test_checkov_finds_what_is_on_purpose_and_nothing_else(tmp_path: Path) -> None:
    for name, values in SETTINGS.items():
        (tmp_path / f"chart-{name}.yaml").write_text(yaml.safe_dump_all(render(values)))
    for name in FOLDERS:
        (tmp_path / f"{name}.yaml").write_text(build_text(name))
    done = run_program(
        [str(MANIFESTS_BIN / "checkov"), *ARGUMENTS, "--directory", str(tmp_path)],
        # it would ask its maker's service for guidelines otherwise
        env={**os.environ, "BC_SKIP_MAPPING": "TRUE", "LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,  # it finds something
    )
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 500
    failed = {each["check_id"] for each in report["results"]["failed_checks"]}
    assert failed == ON_PURPOSE.keys()
