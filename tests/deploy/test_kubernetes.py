"""The Kubernetes files: valid by the API's own schemas, and in agreement with the server."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import grpc
import kubernetes_validate
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.testbed.server import ServerProcess
from lstmserve_server.auth.callers_file import parse_callers, read_file
from lstmserve_server.auth.principal import Scope
from lstmserve_server.errors import StartupError
from support.compose import instructions, read_compose, read_dockerfile
from support.manifests import (
    BASE,
    FOLDER,
    Manifest,
    find,
    find_pod,
    kustomization,
    load,
    manifests,
)
from support.metrics_page import MetricsPage
from support.options import find_value, read_config

# the oldest with a schema that has everything used here, and the newest that there is one of
VERSIONS = ("1.29", "1.37")


@pytest.fixture(scope="module")
def pod() -> Manifest:
    return find_pod()


@pytest.fixture(scope="module")
def container(pod: Manifest) -> Manifest:
    (found,) = pod["containers"]
    return dict(found)


def options() -> dict[str, Any]:
    return tomllib.loads((BASE / "server.toml").read_text())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["base", "http", "model-volume", "redis"])
def test_everything_is_valid_by_the_schemas(name: str, version: str) -> None:
    for manifest in manifests(FOLDER / name):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_no_file_is_forgotten() -> None:
    for folder in (BASE, *(FOLDER / name for name in ("http", "kserve", "model-volume", "redis"))):
        own = kustomization(folder)
        named = {*own["resources"], *(each["path"] for each in own.get("patches", ()))}
        named |= {f for each in own.get("configMapGenerator", ()) for f in each["files"]}
        assert {path.name for path in folder.iterdir()} - {"kustomization.yaml"} == {
            name for name in named if not name.startswith("..")
        }


def test_the_server_accepts_its_configuration() -> None:
    config = read_config(["--config", str(BASE / "server.toml")])
    read = {key: find_value(config, key) for key in options()}
    assert read == {**options(), "auth_file": Path(options()["auth_file"])}


def test_administrators_need_a_token_and_the_file_has_none(container: Manifest) -> None:
    file = BASE / Path(options()["auth_file"]).name
    (mounted,) = (m["mountPath"] for m in container["volumeMounts"] if m["name"] == "config")
    assert options()["auth_file"] == f"{mounted}/{file.name}"
    (anonymous,) = parse_callers(read_file(file), file)
    assert anonymous.is_anonymous
    assert anonymous.scopes == {Scope.GENERATE}


def test_no_option_is_overruled_by_the_image(container: Manifest) -> None:
    """The environment wins over the file, which would be ignored in silence."""
    variables = {*read_dockerfile().envs, *(each["name"] for each in container["env"])}
    assert not {f"LSTMSERVE_{key.upper()}" for key in options()} & variables


def test_variables_of_the_service_do_not_end_the_server(
    pod: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pod["enableServiceLinks"] is False
    # what a pod beside a Service of this name would get otherwise
    name = find("Service")["metadata"]["name"].upper()
    monkeypatch.setenv(f"{name}_SERVICE_PORT", "50051")
    with pytest.raises(StartupError, match="LSTMSERVE_SERVICE_PORT"):
        read_config()


def test_pods_are_restricted(pod: Manifest, container: Manifest) -> None:
    assert pod["automountServiceAccountToken"] is False
    uid, gid = map(int, instructions("USER", "server")[0].split(":"))
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": uid,
        "runAsGroup": gid,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    labels = find("Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_draining_pod_has_its_time(pod: Manifest, container: Manifest) -> None:
    grace = pod["terminationGracePeriodSeconds"]
    assert grace > max(options()["drain_seconds"] + 5, options()["drain_notice_seconds"])
    assert "lifecycle" not in container
    liveness, readiness = container["livenessProbe"], container["readinessProbe"]
    # NOT_SERVING is no reason to kill it
    assert liveness["periodSeconds"] * liveness["failureThreshold"] > grace
    noticed = readiness["periodSeconds"] * readiness["failureThreshold"]
    assert noticed + readiness["timeoutSeconds"] <= options()["drain_notice_seconds"] / 2


async def test_probes_ask_for_services_that_the_server_knows(
    container: Manifest, server: ServerProcess
) -> None:
    async with grpc.aio.insecure_channel(server.target) as channel:
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container[kind]["grpc"]
            request = health_pb2.HealthCheckRequest(service=probe.get("service", ""))
            answer = await health_pb2_grpc.HealthStub(channel).Check(request)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            assert read_dockerfile().envs["LSTMSERVE_LISTEN"].endswith(f":{probe['port']}")


def test_it_scales_by_what_the_server_tells(server: ServerProcess) -> None:
    running, waiting, resource = find("HorizontalPodAutoscaler")["spec"]["metrics"]
    names = [each["pods"]["metric"]["name"] for each in (running, waiting)]
    assert names == ["lstmserve_running_sequences", "lstmserve_waiting_tokens"]
    served = {sample.name for sample in MetricsPage(server.metrics_url).samples}
    assert {name.removeprefix("lstmserve_") for name in names} <= served
    rules = load(FOLDER / "prometheus-adapter.yaml")[0]["rules"]["custom"]
    assert [rule["name"]["as"] for rule in rules] == names
    for rule, name in zip(rules, names, strict=True):
        assert rule["seriesQuery"].startswith(f"{name}{{")
    assert int(running["pods"]["target"]["averageValue"]) < options()["max_running"]
    assert resource["resource"]["name"] == "cpu"


def test_memory_is_that_of_the_compose_file(container: Manifest) -> None:
    limits = read_compose()["services"]["server"]["deploy"]["resources"]["limits"]
    memory = container["resources"]["limits"]["memory"]
    assert int(memory.removesuffix("Gi")) << 30 == int(limits["memory"])


def test_everything_is_about_the_same_pods() -> None:
    labels = find("Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        find("Service")["spec"]["selector"],
        find("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        find("Deployment")["spec"]["selector"]["matchLabels"],
    ]
    assert selectors == [labels] * 3


def test_nothing_is_let_in_or_out_unasked() -> None:
    first, server, _ = (each for each in manifests(BASE) if each["kind"] == "NetworkPolicy")
    assert first["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ports = [[p["port"] for p in rule["ports"]] for rule in server["spec"]["ingress"]]
    assert ports == [[50051], [9464]]
    assert all(rule["from"] for rule in server["spec"]["ingress"])
    assert all(rule["to"] for rule in server["spec"]["egress"])


def test_names_are_found_also_where_nodes_have_a_cache_of_them() -> None:
    _, server, _ = (each for each in manifests(BASE) if each["kind"] == "NetworkPolicy")
    (rule,) = (each for each in server["spec"]["egress"] if each["ports"][0]["port"] == 53)
    pods, node = rule["to"]
    (labels,) = pods["podSelector"]["matchExpressions"]
    assert labels["values"] == ["kube-dns", "node-local-dns"]
    assert node == {"ipBlock": {"cidr": "169.254.20.10/32"}}
    assert {each["protocol"] for each in rule["ports"]} == {"UDP", "TCP"}


def test_redis_is_reached_by_servers_alone_and_reaches_nobody() -> None:
    *_, server, redis = (each for each in manifests(BASE) if each["kind"] == "NetworkPolicy")
    (rule,) = redis["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": server["spec"]["podSelector"]}]
    assert redis["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in redis["spec"]
    (way,) = (each for each in server["spec"]["egress"] if each["ports"][0]["port"] == 6379)
    assert way == {"to": [{"podSelector": redis["spec"]["podSelector"]}], "ports": rule["ports"]}


def test_the_volume_is_read_where_the_image_has_its_models() -> None:
    (container,) = find_pod(FOLDER / "model-volume")["containers"]
    mounts = {each["name"]: each for each in container["volumeMounts"]}
    assert mounts.keys() == {"config", "tmp", "models"}
    assert mounts["models"]["mountPath"] == read_dockerfile().envs["LSTMSERVE_MODEL_STORE"]
    assert mounts["models"]["readOnly"] is True


def test_the_image_is_the_packages() -> None:
    (image,) = kustomization(BASE)["images"]
    assert f"{image['name']}:{image['newTag']}" == read_compose()["services"]["server"]["image"]
