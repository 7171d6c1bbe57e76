"""docker/kubernetes as kustomize would apply it, before it adds namespaces, labels and hashes."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from support.compose import ROOT

FOLDER = ROOT / "docker/kubernetes"
BASE = FOLDER / "base"

Manifest = dict[str, Any]


def load(path: Path) -> list[Manifest]:
    return [*yaml.safe_load_all(path.read_text())]


def kustomization(folder: Path) -> Manifest:
    (found,) = load(folder / "kustomization.yaml")
    return found


def manifests(folder: Path) -> list[Manifest]:
    own = kustomization(folder)
    paths = [folder / name for name in own["resources"]]
    found = [*chain(*(manifests(p) if p.is_dir() else load(p) for p in paths))]
    for patch in chain(*(load(folder / each["path"]) for each in own.get("patches", ()))):
        found = [_merge(each, patch) if _name(each) == _name(patch) else each for each in found]
    return found


def find(kind: str, folder: Path = BASE) -> Manifest:
    """The only one of its kind."""
    (found,) = (each for each in manifests(folder) if each["kind"] == kind)
    return found


def find_pod(folder: Path = BASE) -> Manifest:
    spec: Manifest = find("Deployment", folder)["spec"]["template"]["spec"]
    return spec


def _name(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def _merge(under: Any, over: Any) -> Any:  # noqa: ANN401 - YAML is anything
    """Mappings by key, lists of things with names by name; all else is replaced."""
    if isinstance(under, dict) and isinstance(over, dict):
        return {**under, **{key: _merge(under.get(key), value) for key, value in over.items()}}
    if isinstance(under, list) and isinstance(over, list):
        known = {each["name"]: each for each in under}
        new = {each["name"]: _merge(known.get(each["name"]), each) for each in over}
        return [*{**known, **new}.values()]
    return over
