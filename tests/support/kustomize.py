"""docker/kubernetes as ``kubectl kustomize`` builds it, by the kubectl of .venv-manifests."""

from __future__ import annotations

from functools import cache

import yaml

from benchmarks.testbed.process import run_program
from support.chart import MANIFESTS_BIN
from support.manifests import FOLDER, Manifest

FOLDERS = ("base", "http", "kserve", "model-volume", "redis")


@cache
def build_text(name: str) -> str:
    """What ``kubectl apply --kustomize`` of a folder would apply."""
    done = run_program(
        [MANIFESTS_BIN / "kubectl", "kustomize", FOLDER / name],
        check=True,
        capture_output=True,
        text=True,
    )
    assert not done.stderr  # warnings of what is deprecated
    return str(done.stdout)


def build(name: str) -> list[Manifest]:
    return [*yaml.safe_load_all(build_text(name))]
