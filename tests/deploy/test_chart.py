"""The Helm chart, by Helm: valid, equal to docker/kubernetes/base, agreeing with the server."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from lstmserve_server.options import OPTIONS
from support.chart import (
    CUSTOM,
    SETTINGS,
    Values,
    ask_helm,
    find_in,
    options_of,
    pod_of,
    render,
    server_of,
)
from support.compose import read_dockerfile
from support.manifests import BASE, find, kustomization, manifests
from support.options import find_value, read_config

pytestmark = pytest.mark.system

# the oldest that Chart.yaml allows, and the newest that there is a schema of
VERSIONS = ("1.29", "1.37")
EVERY = pytest.mark.parametrize("setting", SETTINGS)


def plain(value: Any) -> Any:  # noqa: ANN401 - YAML is anything
    """Without what a release alone has: its name as a label, and the checksum that rolls it out."""
    own = ("app.kubernetes.io/instance", "checksum/config", "imagePullPolicy")
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if key not in own}
    return [*map(plain, value)] if isinstance(value, list) else value


@EVERY
@pytest.mark.parametrize("version", VERSIONS)
def test_everything_is_valid_by_the_schemas(setting: str, version: str) -> None:
    for manifest in render(SETTINGS[setting]):
        if not manifest["apiVersion"].startswith(CUSTOM):
            kubernetes_validate.validate(manifest, version, strict=True)


@EVERY
def test_helm_finds_nothing_to_mend(setting: str) -> None:
    assert ask_helm(SETTINGS[setting])["lint"] == ["icon is recommended"]


@pytest.mark.parametrize(
    "kind", ["Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"]
)
def test_what_base_has_the_chart_has(kind: str) -> None:
    base = find(kind)["spec"]
    if kind == "Deployment":
        (image,) = kustomization(BASE)["images"]
        base["template"]["spec"]["containers"][0]["image"] = f"{image['newName']}:{image['newTag']}"
    assert plain(find_in(render({}), kind)["spec"]) == base


def test_network_policies_are_those_of_base() -> None:
    _, server, _ = (each for each in manifests(BASE) if each["kind"] == "NetworkPolicy")
    assert plain(find_in(render({}), "NetworkPolicy")["spec"]) == server["spec"]


def test_the_configuration_is_that_of_base() -> None:
    data = find_in(render({}), "ConfigMap")["data"]
    assert tomllib.loads(data["server.toml"]) == tomllib.loads((BASE / "server.toml").read_text())
    assert data["callers.toml"].strip() == (BASE / "callers.toml").read_text().strip()


@EVERY
def test_the_server_accepts_its_configuration(setting: str, tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text(options_of(setting))
    config = read_config(["--config", str(file)])
    for key, value in tomllib.loads(file.read_text()).items():
        read = find_value(config, key)
        assert value in (read, str(read))  # paths and addresses are text in the file


@EVERY
def test_no_option_is_overruled_by_the_environment(setting: str) -> None:
    container = server_of(pod_of(setting))
    variables = {*read_dockerfile().envs, *(each["name"] for each in container["env"])}
    named = tomllib.loads(options_of(setting))
    assert not {OPTIONS[key].variable for key in named} & variables


@EVERY
def test_files_that_the_options_name_are_mounted(setting: str) -> None:
    mounted = {each["mountPath"] for each in server_of(pod_of(setting))["volumeMounts"]}
    files = [v for v in tomllib.loads(options_of(setting)).values() if str(v).startswith("/")]
    assert files
    assert {str(Path(file).parent) for file in files} <= mounted


@EVERY
def test_every_pod_is_restricted_and_has_no_token(setting: str) -> None:
    for manifest in render(SETTINGS[setting]):
        if manifest["kind"] not in ("Deployment", "CronJob"):
            continue
        spec = manifest["spec"].get("jobTemplate", manifest)["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        for container in [*spec.get("initContainers", ()), *spec["containers"]]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_a_package_holds_what_the_links_lead_to(tmp_path: Path) -> None:
    packaged = ask_helm(SETTINGS["everything"], folder=tmp_path)
    assert packaged == ask_helm(SETTINGS["everything"])
    assert [path.name for path in tmp_path.iterdir()] == ["lstmserve-0.1.0.tgz"]


def test_another_release_shares_nothing_but_what_it_is() -> None:
    one, other = (render(SETTINGS["everything"], name) for name in ("lstmserve", "prod"))
    names = {each["metadata"]["name"] for each in other}
    assert names == {f"prod-{each['metadata']['name']}" for each in one}
    (deployment,) = (each for each in other if each["kind"] == "Deployment")
    labels = deployment["spec"]["selector"]["matchLabels"]
    assert labels["app.kubernetes.io/instance"] == "prod"
    assert labels["app.kubernetes.io/name"] == "lstmserve"  # the job that the rules know


@pytest.mark.parametrize(
    ("values", "release", "name"),
    [
        ({}, "lstmserve", "lstmserve"),
        ({}, "prod", "prod-lstmserve"),
        ({"nameOverride": "replies"}, "prod", "prod-replies"),
        ({"nameOverride": "replies"}, "replies-2", "replies-2"),
        ({"nameOverride": "replies", "fullnameOverride": "bot"}, "prod", "bot"),
        ({"fullnameOverride": "b" * 70}, "prod", "b" * 52),
    ],
)
def test_names_may_be_others_and_labels_stay(values: Values, release: str, name: str) -> None:
    for manifest in render(values, release):
        metadata = manifest["metadata"]
        assert metadata["name"] == name
        assert metadata["labels"]["app.kubernetes.io/name"] == "lstmserve"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"image": {"tagg": "1"}}, "tagg"),
        ({"models": {"from": "objectStorage"}}, "/models/objectStorage/path"),
        ({"models": {"from": "volume", "volume": {"schedule": "@daily"}}}, "objectStorage.path"),
        ({"ingress": {"enabled": True}}, "/ingress/tlsSecret"),
        ({"grpcRoute": {"enabled": True}}, "/grpcRoute/parentRefs"),
        ({"httpRoute": {"enabled": True}}, "/http/enabled"),
        ({"service": {"type": "ExternalName"}}, "/service/type"),
        ({"tls": {"verifyClients": True}}, "/tls/existingSecret"),
        ({"options": {"drain_seconds": None}}, "drain_seconds"),
        ({"options": {"max_runing": 8}}, "'max_runing' not allowed"),
        ({"options": {"max_running": "many"}}, "/options/max_running"),
        ({"options": {"max_running": 0.5}}, "/options/max_running"),
        ({"options": {"workers": 1000}}, "/options/workers"),
        ({"options": {"cache_scope": "nobody"}}, "/options/cache_scope"),
        ({"options": {"insecure": "yes"}}, "/options/insecure"),
        ({"options": {"redis_prefix": "a b"}}, "/options/redis_prefix"),
        ({"fullnameOverride": "Bot"}, "/fullnameOverride"),
        ({"autoscaling": {"kind": "vpa"}}, "/autoscaling/kind"),
        ({"networkPolicy": {"redisPort": 70000}}, "/networkPolicy/redisPort"),
    ],
)
def test_wrong_values_are_named(values: Values, named: str) -> None:
    assert named in ask_helm(values)["error"]


@pytest.mark.parametrize(
    ("option", "instead"),
    [
        ("config", "options"),
        ("listen", "0.0.0.0:50051"),
        ("metrics_listen", "0.0.0.0:9464"),
        ("http_listen", "http.enabled"),
        ("model_store", "models.from"),
        ("log_format", "JSON"),
        ("auth_file", "callers.existingSecret"),
        ("tls_certificate", "tls.existingSecret"),
        ("tls_key", "tls.existingSecret"),
        ("tls_client_authority", "tls.verifyClients"),
        ("redis_url", "redis.existingSecret"),
    ],
)
def test_an_option_that_is_set_otherwise_is_refused_with_what_sets_it(
    option: str, instead: str
) -> None:
    error = ask_helm({"options": {option: "x"}})["error"]
    assert f"options.{option}" in error
    assert instead in error
    assert "failed" not in error  # as "'not' failed" of a schema


def test_a_drain_may_take_a_part_of_a_second() -> None:
    deployment = find_in(render({"options": {"drain_seconds": 2.5}}), "Deployment")
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 18
