"""OpenAI's HTTP API where the server is deployed: Compose and its proxy, and Kubernetes."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.compose import HTTP_FILE, read_compose, read_dockerfile
from support.manifests import BASE, FOLDER, Manifest, find_pod, manifests
from support.options import read_config

HTTP = FOLDER / "http"
PORT = 8000


def named(kind: str, name: str, folder: Path = HTTP) -> Manifest:
    (found,) = (
        each
        for each in manifests(folder)
        if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )
    return found


def test_compose_leads_from_a_loopback_address_through_the_proxy_to_servers() -> None:
    services = read_compose(HTTP_FILE)["services"]
    server, proxy = services["server"], services["proxy"]
    assert server["environment"]["LSTMSERVE_HTTP_LISTEN"] == f"0.0.0.0:{PORT}"
    assert "ports" not in server
    assert proxy["environment"]["LSTMSERVE_HTTP_PORT"] == str(PORT)
    assert proxy["environment"]["PROXY_HTTP_LISTEN"] == f"0.0.0.0:{PORT}"
    ports = {(each["host_ip"], each["published"], each["target"]) for each in proxy["ports"]}
    assert ("127.0.0.1", str(PORT), PORT) in ports
    assert len(ports) == 3


def test_compose_changes_nothing_else() -> None:
    def rest(*files: Path) -> dict[str, object]:
        services = read_compose(*files)["services"]
        return {name: {**each, "environment": 0, "ports": 0} for name, each in services.items()}

    assert rest(HTTP_FILE) == rest()


def test_pods_listen_where_the_service_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    (container,) = find_pod(HTTP)["containers"]
    (variable,) = (e for e in container["env"] if e["name"] == "LSTMSERVE_HTTP_LISTEN")
    monkeypatch.setenv(variable["name"], variable["value"])
    config = read_config(["--config", str(BASE / "server.toml")])
    assert config.http_listen is not None
    assert config.http_listen.port == PORT
    assert str(config.http_listen.host) == read_dockerfile().envs["LSTMSERVE_LISTEN"].split(":")[0]
    assert {"name": "http", "containerPort": PORT} in container["ports"]
    service = named("Service", "lstmserve-proxied")
    (port,) = (each for each in service["spec"]["ports"] if each["name"] == "http")
    assert port == {"name": "http", "port": PORT, "targetPort": "http", "appProtocol": "http"}
    assert service["spec"]["selector"] == named("Service", "lstmserve")["spec"]["selector"]


def test_callers_by_grpc_are_those_by_http() -> None:
    server, http = (named("NetworkPolicy", name)["spec"] for name in ("server", "http"))
    assert http["podSelector"] == server["podSelector"]
    (rule,) = http["ingress"]
    assert rule == {**server["ingress"][0], "ports": [{"protocol": "TCP", "port": PORT}]}
