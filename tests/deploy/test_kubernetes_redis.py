"""The Redis of docker/kubernetes/redis is that of the compose file, and servers may reach it."""

from __future__ import annotations

import pytest

from support.compose import ROOT, read_compose
from support.manifests import BASE, FOLDER, Manifest, find, manifests

REDIS = FOLDER / "redis"


@pytest.fixture
def pod() -> Manifest:
    template: Manifest = find("StatefulSet", REDIS)["spec"]["template"]
    return template


def test_it_is_that_of_the_compose_file(pod: Manifest) -> None:
    own = read_compose()["services"]["redis"]
    (container,) = pod["spec"]["containers"]
    assert container["image"] == own["image"]
    assert container["command"] == [*own["entrypoint"], *own["command"]]
    (limits,) = (own["deploy"]["resources"]["limits"],)
    memory = container["resources"]["limits"]["memory"]
    assert int(memory.removesuffix("Mi")) << 20 == int(limits["memory"])
    config = (REDIS / "redis.conf").read_text()
    assert config == (ROOT / "docker/redis/redis.conf").read_text()


def test_its_policy_is_that_of_base(pod: Manifest) -> None:
    *_, redis = (each for each in manifests(BASE) if each["kind"] == "NetworkPolicy")
    policy = find("NetworkPolicy", REDIS)
    assert policy == redis
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


def test_its_name_leads_to_it(pod: Manifest) -> None:
    service, own = find("Service", REDIS), find("StatefulSet", REDIS)
    assert own["spec"]["serviceName"] == service["metadata"]["name"]
    assert own["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
    assert service["spec"]["selector"] == pod["metadata"]["labels"]
    # as kustomization.yaml tells to write it into the secret
    (port,) = service["spec"]["ports"]
    url = f"redis://{service['metadata']['name']}:{port['port']}/0"
    assert f"--from-literal=url={url}" in (REDIS / "kustomization.yaml").read_text()


def test_it_writes_nothing_and_is_no_root(pod: Manifest) -> None:
    assert pod["spec"]["securityContext"] == find_server_security()
    (container,) = pod["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    volumes = [next(iter(v.keys() - {"name"})) for v in pod["spec"]["volumes"]]
    assert volumes == ["configMap", "emptyDir"]


def find_server_security() -> Manifest:
    spec: Manifest = find("Deployment", BASE)["spec"]["template"]["spec"]["securityContext"]
    return spec
