"""The files for KServe agree with the server, with base, and with how KServe lays models out."""

from __future__ import annotations

import shutil
from pathlib import Path

import grpc
import kubernetes_validate
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.testbed.server import ServerProcess
from lstmserve_server.auth.callers_file import parse_callers, read_file
from lstmserve_server.auth.principal import Scope
from lstmserve_server.store.repository import read_store
from support.compose import ROOT, read_dockerfile
from support.manifests import BASE, FOLDER, Manifest, find, find_pod, kustomization
from support.options import find_value, read_config

KSERVE = FOLDER / "kserve"
MOUNT = "/mnt/models"  # where KServe lays what is in the folder that storageUri names


@pytest.fixture
def runtime() -> Manifest:
    spec: Manifest = find("ServingRuntime", KSERVE)["spec"]
    return spec


@pytest.fixture
def container(runtime: Manifest) -> Manifest:
    (found,) = runtime["containers"]
    return dict(found)


@pytest.fixture
def predictor() -> Manifest:
    spec: Manifest = find("InferenceService", KSERVE)["spec"]["predictor"]
    return spec


def test_pods_are_valid_by_the_schemas_and_restricted_as_those_of_base(
    runtime: Manifest, predictor: Manifest
) -> None:
    own = ("automountServiceAccountToken", "enableServiceLinks", "terminationGracePeriodSeconds")
    spec = {key: runtime[key] for key in ("containers", "volumes")}
    pod = {**spec, **{key: predictor[key] for key in own}}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": pod}
    kubernetes_validate.validate(manifest, "1.29", strict=True)
    base = find_pod()
    assert {key: pod[key] for key in own} == {key: base[key] for key in own}
    expected = {**base["securityContext"], **base["containers"][0]["securityContext"]}
    assert pod["containers"][0]["securityContext"] == expected


def test_the_container_is_that_of_base(container: Manifest) -> None:
    (base,) = find_pod()["containers"]
    for kind in ("startupProbe", "livenessProbe"):
        assert container[kind] == base[kind]
    assert container["resources"]["limits"]["memory"] == base["resources"]["limits"]["memory"]
    (image,) = kustomization(BASE)["images"]
    assert container["image"] == f"{image['newName']}:{image['newTag']}"


def test_the_server_accepts_its_arguments(container: Manifest) -> None:
    config = read_config(container["args"])
    base = read_config(["--config", str(BASE / "server.toml")])
    for key in ("drain_seconds", "drain_notice_seconds", "insecure", "workers", "max_running"):
        assert find_value(config, key) == find_value(base, key)
    (file,) = (m["mountPath"] for m in container["volumeMounts"] if m["name"] == "callers")
    assert find_value(config, "auth_file") == Path(file, "callers.toml")
    (port,) = container["ports"]
    assert read_dockerfile().envs["LSTMSERVE_LISTEN"].endswith(f":{port['containerPort']}")


def test_nobody_administers(tmp_path: Path) -> None:
    file = tmp_path / "callers.toml"
    file.write_text(find("ConfigMap", KSERVE)["data"]["callers.toml"])
    (anonymous,) = parse_callers(read_file(file), file)
    assert anonymous.scopes == {Scope.GENERATE}


async def test_ready_is_who_serves_the_open_inference_protocol(
    container: Manifest, runtime: Manifest, server: ServerProcess
) -> None:
    assert runtime["protocolVersions"] == ["grpc-v2"]
    async with grpc.aio.insecure_channel(server.target) as channel:
        service = container["readinessProbe"]["grpc"]["service"]
        request = health_pb2.HealthCheckRequest(service=service)
        answer = await health_pb2_grpc.HealthStub(channel).Check(request)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_runtime_is_found_by_its_format(runtime: Manifest, predictor: Manifest) -> None:
    known = {(each["name"], each["version"]) for each in runtime["supportedModelFormats"]}
    wanted = predictor["model"]["modelFormat"]
    assert (wanted["name"], wanted["version"]) in known
    assert predictor["model"]["protocolVersion"] in runtime["protocolVersions"]
    assert predictor["model"]["runtime"] == find("ServingRuntime", KSERVE)["metadata"]["name"]


def commented_uris() -> list[Manifest]:
    """The other way that the comment in inference-service.yaml shows."""
    lines = (KSERVE / "inference-service.yaml").read_text().splitlines()
    begin = next(i for i, line in enumerate(lines) if "storageUris:" in line)
    text = "\n".join(line.split("#", 1)[1] for line in lines[begin : begin + 3])
    found: list[Manifest] = yaml.safe_load(text)["storageUris"]
    return found


def test_a_store_or_one_version_alone_is_laid_out_as_the_server_wants_it(
    container: Manifest, predictor: Manifest, tmp_path: Path
) -> None:
    model = find("InferenceService", KSERVE)["metadata"]["name"]
    assert f"--model-store={MOUNT}" in container["args"]
    assert predictor["model"]["storageUri"].endswith("/model_store")
    whole, one = tmp_path / "whole", tmp_path / "one"
    shutil.copytree(ROOT / "model_store" / model, whole / model)
    assert model in read_store(whole)[0]
    (uri,) = commented_uris()
    version = Path(uri["mountPath"]).relative_to(MOUNT)
    shutil.copytree(ROOT / "model_store" / version, one / version)
    assert uri["uri"].endswith(f"/model_store/{version}")
    assert [each.version for each in read_store(one)[0][model]] == [int(version.name)]
