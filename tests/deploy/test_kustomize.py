"""The Kubernetes files by kustomize itself: it builds what the other tests read."""

from __future__ import annotations

import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from support.chart import CUSTOM
from support.kustomize import FOLDERS, build, build_text
from support.manifests import BASE, FOLDER, Manifest, kustomization, manifests

pytestmark = pytest.mark.system

EVERY = pytest.mark.parametrize("folder", FOLDERS)
# kustomize appends a hash of the content to the name of what it makes of files
HASHED = re.compile(r"\b(lstmserve(?:-redis)?)-[0-9a-z]{10}\b")
IMAGE = kustomization(BASE)["images"][0]

Key = tuple[str, str]


def key_of(manifest: Manifest) -> Key:
    return manifest["kind"], manifest["metadata"]["name"]


def built(folder: str) -> dict[Key, Manifest]:
    """By kind and name, with the names and the image that the files have."""
    text = HASHED.sub(r"\1", build_text(folder))
    if folder == "base" or "../base" in kustomization(FOLDER / folder)["resources"]:
        pushed = f"{IMAGE['newName']}:{IMAGE['newTag']}"
        text = text.replace(f"image: {pushed}\n", f"image: {IMAGE['name']}\n")
    return {key_of(each): each for each in yaml.safe_load_all(text)}


def content(manifest: Any) -> Any:  # noqa: ANN401 - YAML is anything
    """With things that have names in order: a patch may put them anywhere."""
    if isinstance(manifest, dict):
        return {key: content(value) for key, value in manifest.items()}
    if not isinstance(manifest, list):
        return manifest
    found = [*map(content, manifest)]
    has_names = all(isinstance(each, dict) and "name" in each for each in found)
    return sorted(found, key=lambda each: str(each["name"])) if has_names else found


def generated(folder: str) -> dict[Key, dict[str, str]]:
    """What the folder's ConfigMaps, and those of the base that it stands on, are made of."""
    own = kustomization(FOLDER / folder)
    found: dict[Key, dict[str, str]] = generated("base") if "../base" in own["resources"] else {}
    for each in own.get("configMapGenerator", ()):
        files = {name: (FOLDER / folder / name).read_text() for name in each["files"]}
        found["ConfigMap", each["name"]] = files
    return found


@EVERY
def test_it_builds_what_the_other_tests_read(folder: str) -> None:
    found, maps = built(folder), generated(folder)
    read = {key_of(each): each for each in manifests(FOLDER / folder)}
    assert found.keys() == read.keys() | maps.keys()
    for key, own in read.items():
        assert content({**found[key], "metadata": {}}) == content({**own, "metadata": {}})
        for facts in ("labels", "annotations"):
            wanted = own["metadata"].get(facts, {})
            assert wanted.items() <= found[key]["metadata"].get(facts, {}).items()
    assert {key: found[key]["data"] for key in maps} == maps


@EVERY
def test_everything_is_in_its_namespace(folder: str) -> None:
    for manifest in build(folder):
        is_namespace = manifest["kind"] == "Namespace"
        assert manifest["metadata"].get("namespace") == (None if is_namespace else "lstmserve")


@EVERY
@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_what_it_builds_is_valid_by_the_schemas(folder: str, version: str) -> None:
    for manifest in build(folder):
        if not manifest["apiVersion"].startswith(CUSTOM):
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_changed_configuration_is_rolled_out() -> None:
    """Pods name the ConfigMap by its hash."""
    (made,) = (each["metadata"]["name"] for each in build("base") if each["kind"] == "ConfigMap")
    (deployment,) = (each for each in build("base") if each["kind"] == "Deployment")
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    assert HASHED.fullmatch(made)
    assert [each["configMap"]["name"] for each in volumes if "configMap" in each] == [made]
