"""docker/helm/lstmserve as Helm renders it, which lives in an environment of its own."""

from __future__ import annotations

import json
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from benchmarks.testbed.process import run_program
from support.compose import ROOT
from support.manifests import Manifest

CHART = ROOT / "docker/helm/lstmserve"
MANIFESTS_BIN = ROOT / ".venv-manifests/bin"
RELEASE = "lstmserve"
CUSTOM = ("monitoring.coreos.com/", "keda.sh/", "gateway.networking.k8s.io/", "serving.kserve.io/")
"""Groups of resources that Kubernetes itself does not know."""

Values = dict[str, Any]

TLS: Values = {"existingSecret": "lstmserve-tls", "serverName": "lstmserve.example"}
STORAGE: Values = {
    "path": "models:bucket/store",
    "existingSecret": "bucket",
    "models": ["support-en"],
}
ROUTES: Values = {
    "grpcRoute": {"enabled": True, "parentRefs": [{"name": "gateway", "namespace": "gateways"}]},
    "ingress": {"enabled": True, "host": "lstmserve.example", "tlsSecret": "example-tls"},
}
SIDECAR: Values = {
    "name": "shipper",
    "image": "registry.example.com/shipper:1.0.0",
    "imagePullPolicy": "IfNotPresent",
    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "16Mi"}},
    "livenessProbe": {"exec": {"command": ["true"]}},
    "readinessProbe": {"exec": {"command": ["true"]}},
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
}
MONITORING: Values = {kind: {"enabled": True} for kind in ("podMonitor", "rules", "dashboards")}
PRODUCTION = ROOT / "docker/helm/examples/production.yaml"
SETTINGS: dict[str, Values] = {
    "default": {},
    "production": yaml.safe_load(PRODUCTION.read_text()),
    "everything": {
        **ROUTES,
        "http": {"enabled": True},
        "httpRoute": {
            "enabled": True,
            "parentRefs": [{"name": "gateway"}],
            "hostnames": ["api.example"],
        },
        "service": {"type": "LoadBalancer", "annotations": {"example.com/balancer": "internal"}},
        "monitoring": MONITORING,
        "autoscaling": {"kind": "keda"},
        "models": {"from": "objectStorage", "objectStorage": STORAGE},
        "callers": {"existingSecret": "callers"},
        "imagePullSecrets": [{"name": "registry"}],
        "environment": [{"name": "OTEL_SERVICE_NAME", "value": "lstmserve"}],
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "models", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "important",
        "podAnnotations": {"example.com/team": "models"},
        "serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/models"},
        "networkPolicy": {"egress": [{"ports": [{"port": 4317}]}], "dnsAddresses": ["fd00::a"]},
    },
    "http": {"http": {"enabled": True}},
    "redis-tls": {
        "redis": {
            "existingSecret": "redis-secret",
            "key": "password",
            "url": "rediss://:$(REDIS_PASSWORD)@redis.data:6379/0"
            "?ssl_ca_certs=/etc/lstmserve-redis-tls/ca.crt",
            "tls": {"existingSecret": "redis-tls-cert"},
        }
    },
    "tls": {"tls": TLS, "http": {"enabled": True}, **ROUTES},
    "mutual-tls": {"tls": {**TLS, "verifyClients": True}, "options": {"cache_bytes": 67108864}},
    "volume": {
        "models": {
            "from": "volume",
            "volume": {"schedule": "*/5 * * * *", "storageClassName": "nfs"},
            "objectStorage": STORAGE,
        },
        "autoscaling": {"kind": "none"},
    },
    "extras": {
        "extraVolumes": [{"name": "scripts", "configMap": {"name": "scripts"}}],
        "extraVolumeMounts": [{"name": "scripts", "mountPath": "/scripts", "readOnly": True}],
        "extraContainers": [SIDECAR],
    },
    "own-volume": {"models": {"from": "volume", "volume": {"existingClaim": "ours"}}},
}
"""Values that together reach every part of every template."""


@cache
def _ask(question: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(
        run_program(
            [MANIFESTS_BIN / "python", ROOT / "tests/deploy/manifests/chart.py"],
            input=question,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    return answer


def ask_helm(values: Values, release: str = RELEASE, folder: Path | None = None) -> dict[str, Any]:
    """What Helm says of these values: ``lint``, and ``manifests`` or ``error``.

    With a folder it is asked about a package, which is made there.
    """
    question = {"values": values, "release": release, "chart": str(CHART)}
    where = str(folder) if folder else ""
    return _ask(json.dumps({**question, "folder": where}, sort_keys=True))


def render(values: Values, release: str = RELEASE) -> list[Manifest]:
    """All manifests of a release in a namespace of its name."""
    answer = ask_helm(values, release)
    assert "error" not in answer, answer["error"]
    texts = (text for path, text in answer["manifests"].items() if path.endswith(".yaml"))
    return [each for each in chain(*map(yaml.safe_load_all, texts)) if each]


def find_in(manifests: list[Manifest], kind: str, suffix: str = "") -> Manifest:
    """The only one of its kind whose name is the release's with this suffix."""
    (found,) = (
        each
        for each in manifests
        if (each["kind"], each["metadata"]["name"]) == (kind, RELEASE + suffix)
    )
    return found


def pod_of(setting: str) -> Manifest:
    spec: Manifest = find_in(render(SETTINGS[setting]), "Deployment")["spec"]["template"]["spec"]
    return spec


def server_of(pod: Manifest) -> Manifest:
    (found,) = (each for each in pod["containers"] if each["name"] == "server")
    return dict(found)


def options_of(setting: str) -> str:
    text: str = find_in(render(SETTINGS[setting]), "ConfigMap")["data"]["server.toml"]
    return text
