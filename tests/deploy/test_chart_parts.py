"""What the Helm chart can have besides: monitoring, TLS, models from elsewhere, routes, KEDA."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml

from benchmarks.testbed.server import ServerProcess
from support.chart import (
    SETTINGS,
    SIDECAR,
    STORAGE,
    find_in,
    options_of,
    pod_of,
    render,
    server_of,
)
from support.compose import ROOT, read_dockerfile
from support.manifests import BASE, find
from support.metrics_page import MetricsPage

pytestmark = pytest.mark.system


def test_rules_and_dashboards_are_the_very_files() -> None:
    rendered = render(SETTINGS["everything"])
    files = sorted((ROOT / "docker/prometheus/rules").glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    assert find_in(rendered, "PrometheusRule")["spec"] == {"groups": groups}
    boards = sorted((ROOT / "docker/grafana/dashboards").glob("*.json"))
    data = find_in(rendered, "ConfigMap", "-dashboards")["data"]
    assert data == {f"lstmserve-{board.name}": board.read_text() for board in boards}


def test_with_tls_nothing_is_in_clear() -> None:
    named = tomllib.loads(options_of("tls"))
    assert "insecure" not in named
    container = server_of(pod_of("tls"))
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[kind]["exec"]["command"][:3] == ["lstmserve", "health", "--tls"]
    annotations = find_in(render(SETTINGS["tls"]), "Ingress")["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/backend-protocol"] == "GRPCS"


def test_versions_are_copied_before_the_server_starts_and_then_beside_it() -> None:
    pod = pod_of("everything")
    first, beside = pod["initContainers"]
    assert "restartPolicy" not in first
    assert beside["restartPolicy"] == "Always"
    assert beside["command"] == [*first["command"], "60"]
    assert first["command"][2:] == [
        STORAGE["path"],
        read_dockerfile().envs["LSTMSERVE_MODEL_STORE"],
    ]
    mounts = {each["name"]: each for each in server_of(pod)["volumeMounts"]}
    assert mounts["models"] == {"name": "models", "mountPath": "/models", "readOnly": True}


def test_models_of_that_size_are_within_the_limits_of_the_pod() -> None:
    """A volume of a pod counts against the sum of what its containers may write."""
    pod = pod_of("everything")
    (size,) = (v["emptyDir"]["sizeLimit"] for v in pod["volumes"] if v["name"] == "models")
    for container in pod["initContainers"]:
        limit = container["resources"]["limits"]["ephemeral-storage"]
        assert int(limit.removesuffix("Mi")) >= (int(size.removesuffix("Gi")) << 10) + 64


def test_a_volume_is_written_by_the_job_alone() -> None:
    rendered = render(SETTINGS["volume"])
    job = find_in(rendered, "CronJob", "-copying")["spec"]["jobTemplate"]["spec"]["template"]
    claims = [
        next(v["persistentVolumeClaim"] for v in spec["volumes"] if v["name"] == "models")
        for spec in (pod_of("volume"), job["spec"])
    ]
    assert claims == [
        {"claimName": "lstmserve-models", "readOnly": True},
        {"claimName": "lstmserve-models"},
    ]
    policy = find_in(rendered, "NetworkPolicy", "-copying")["spec"]
    assert policy["podSelector"]["matchLabels"] == job["metadata"]["labels"]
    kinds = {each["kind"] for each in render(SETTINGS["own-volume"])}
    assert not {"PersistentVolumeClaim", "CronJob"} & kinds


def test_routes_lead_to_the_pods_and_not_to_administration() -> None:
    rendered = render(SETTINGS["everything"])
    service = find_in(rendered, "Service", "-proxied")
    assert service["spec"]["selector"] == find_in(rendered, "Service")["spec"]["selector"]
    (rule,) = find_in(rendered, "GRPCRoute")["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": service["metadata"]["name"], "port": 50051}]
    names = [each["method"]["service"] for each in rule["matches"]]
    (host,) = find_in(rendered, "Ingress")["spec"]["rules"]
    assert [each["path"] for each in host["http"]["paths"]] == [f"/{name}" for name in names]
    assert names == ["lstmserve.v1.GenerationService", "grpc.health.v1.Health"]


def test_a_service_for_others_has_the_type_and_annotations_that_it_is_given() -> None:
    rendered = render(SETTINGS["everything"])
    service, own = find_in(rendered, "Service", "-proxied"), find_in(rendered, "Service")
    assert service["spec"]["type"] == "LoadBalancer"
    assert service["metadata"]["annotations"] == {"example.com/balancer": "internal"}
    assert "metrics" not in {each["name"] for each in service["spec"]["ports"]}
    assert own["spec"]["clusterIP"] == "None"
    assert "annotations" not in own["metadata"]
    alone = find_in(render({"service": {"type": "ClusterIP"}}), "Service", "-proxied")
    assert [each["name"] for each in alone["spec"]["ports"]] == ["grpc"]


def test_pods_are_the_job_that_the_rules_know() -> None:
    rendered = render(SETTINGS["everything"])
    monitor = find_in(rendered, "PodMonitor")["spec"]
    labels = find_in(rendered, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels[monitor["jobLabel"]] == "lstmserve"
    assert monitor["selector"]["matchLabels"] == labels
    (endpoint,) = monitor["podMetricsEndpoints"]
    ports = server_of(pod_of("everything"))["ports"]
    assert endpoint["port"] in {each["name"] for each in ports}


def test_keda_scales_by_what_the_server_tells(server: ServerProcess) -> None:
    scaled = find_in(render(SETTINGS["everything"]), "ScaledObject")["spec"]
    hpa = find("HorizontalPodAutoscaler", BASE)["spec"]
    assert scaled["scaleTargetRef"] == hpa["scaleTargetRef"]
    assert scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == hpa["behavior"]
    served = {sample.name for sample in MetricsPage(server.metrics_url).samples}
    queries = [
        each["metadata"]["query"] for each in scaled["triggers"] if "query" in each["metadata"]
    ]
    names = [re.findall(r"lstmserve_(\w+)\{", query) for query in queries]
    assert names == [["running_sequences"], ["waiting_tokens"]]
    thresholds = [each["metadata"].get("threshold") for each in scaled["triggers"]]
    pods = [each["pods"]["target"]["averageValue"] for each in hpa["metrics"] if "pods" in each]
    assert thresholds == [*pods, None]  # processor time has a value instead
    assert {name for found in names for name in found} <= served


def test_pods_have_what_is_added_to_them() -> None:
    pod, own = pod_of("extras"), pod_of("default")
    added = SETTINGS["extras"]
    assert pod["volumes"] == [*own["volumes"], *added["extraVolumes"]]
    assert pod["containers"][1:] == [SIDECAR]
    mounts = server_of(pod)["volumeMounts"]
    assert mounts == [*server_of(own)["volumeMounts"], *added["extraVolumeMounts"]]
