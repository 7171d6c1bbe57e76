"""OpenAI's HTTP API by the Helm chart: as docker/kubernetes/http has it, and by routes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.testbed.server import ServerProcess
from support.chart import SETTINGS, find_in, options_of, pod_of, render, server_of
from support.http_calls import ask
from support.manifests import BASE, FOLDER, find_pod, manifests
from support.openai_api import find_url

pytestmark = pytest.mark.system

HTTP = FOLDER / "http"


def ports_of(service: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(service["spec"]["ports"], key=lambda port: str(port["name"]))


@pytest.mark.parametrize("suffix", ["", "-proxied"])
def test_services_are_those_of_the_kubernetes_files(suffix: str) -> None:
    (own,) = (
        each
        for each in manifests(HTTP)
        if (each["kind"], each["metadata"]["name"]) == ("Service", f"lstmserve{suffix}")
    )
    found = find_in(render(SETTINGS["http"]), "Service", suffix)
    assert ports_of(found) == ports_of(own)
    assert found["spec"].get("clusterIP") == own["spec"].get("clusterIP")


def test_pods_and_their_callers_are_those_of_the_kubernetes_files() -> None:
    assert server_of(pod_of("http"))["ports"] == find_pod(HTTP)["containers"][0]["ports"]
    rules = find_in(render(SETTINGS["http"]), "NetworkPolicy")["spec"]["ingress"]
    _, grpc, _, http = (
        each["spec"].get("ingress") for each in manifests(HTTP) if each["kind"] == "NetworkPolicy"
    )
    assert rules[0]["from"] == grpc[0]["from"] == http[0]["from"]
    assert rules[0]["ports"] == [*grpc[0]["ports"], *http[0]["ports"]]


def test_without_the_switch_there_is_none() -> None:
    rendered = render({})
    assert "http" not in {each["name"] for each in server_of(pod_of("default"))["ports"]}
    assert "http_listen" not in options_of("default")
    assert "8000" not in str(find_in(rendered, "NetworkPolicy"))
    assert [each["metadata"]["name"] for each in rendered if each["kind"] == "Service"] == [
        "lstmserve"
    ]


def test_a_server_with_its_configuration_answers(tiny_store: Path, tmp_path: Path) -> None:
    text = options_of("http").replace("/etc/lstmserve/", f"{BASE}/")
    assert "0.0.0.0:8000" in text
    file = tmp_path / "server.toml"
    file.write_text(text.replace("0.0.0.0:8000", "127.0.0.1:0"))
    with ServerProcess(tiny_store, "--config", str(file)) as server:
        assert ask(f"{find_url(server)}/models").status == 200


@pytest.mark.parametrize(("setting", "scheme"), [("everything", "http"), ("tls", "https")])
def test_an_ingress_of_the_same_host_leads_there(setting: str, scheme: str) -> None:
    rendered = render(SETTINGS[setting])
    grpc, http = (find_in(rendered, "Ingress", suffix) for suffix in ("", "-http"))
    assert {**http["spec"], "rules": []} == {**grpc["spec"], "rules": []}
    (rule,) = http["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["path"] == "/v1"
    service = find_in(rendered, "Service", "-proxied")
    assert path["backend"]["service"]["name"] == service["metadata"]["name"]
    (port,) = (
        each
        for each in service["spec"]["ports"]
        if each["name"] == path["backend"]["service"]["port"]["name"]
    )
    assert port["appProtocol"] == scheme
    annotations = http["metadata"]["annotations"]
    prefix = "nginx.ingress.kubernetes.io"
    assert annotations[f"{prefix}/backend-protocol"] == scheme.upper()
    assert annotations[f"{prefix}/proxy-buffering"] == "off"


def test_an_http_route_leads_there() -> None:
    rendered = render(SETTINGS["everything"])
    route = find_in(rendered, "HTTPRoute")["spec"]
    (rule,) = route["rules"]
    assert rule["backendRefs"] == [{"name": "lstmserve-proxied", "port": 8000}]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/v1"}}]
    assert route["hostnames"] == ["api.example"]
