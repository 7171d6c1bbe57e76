"""The values for production: each part of them is there, and secrets are explained."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from lstmserve_server.cache.redis.address import parse_url
from support.chart import PRODUCTION, SETTINGS, find_in, options_of, pod_of, render, server_of
from support.compose import ROOT

pytestmark = pytest.mark.system

GUIDE = (ROOT / "docs/deploying.md").read_text()


def secrets_of(values: Any) -> set[str]:  # noqa: ANN401 - YAML is anything
    """What is said for existingSecret, tlsSecret or imagePullSecrets, wherever it stands."""
    if isinstance(values, list):
        return set[str]().union(*map(secrets_of, values))
    if not isinstance(values, dict):
        return set()
    own = {v for key, v in values.items() if key in ("existingSecret", "tlsSecret")}
    own |= {each["name"] for each in values.get("imagePullSecrets", ())}
    return own.union(*map(secrets_of, values.values()))


def test_all_parts_are_there() -> None:
    rendered = render(SETTINGS["production"])
    kinds = {each["kind"] for each in rendered}
    assert {"PodMonitor", "PrometheusRule", "ScaledObject", "NetworkPolicy", "Ingress"} <= kinds
    options = tomllib.loads(options_of("production"))
    assert {"tls_certificate", "http_listen", "auth_file"} <= options.keys()
    assert "insecure" not in options
    assert options["auth_file"].startswith("/etc/lstmserve-callers/")
    assert find_in(rendered, "Ingress", "-http")


def test_the_url_of_redis_is_one_by_tls() -> None:
    values = {each["name"]: each.get("value") for each in server_of(pod_of("production"))["env"]}
    address = parse_url(str(values["LSTMSERVE_REDIS_URL"]).replace("$(REDIS_PASSWORD)", "s3cret"))
    assert (address.is_tls, address.password) == (True, "s3cret")


def test_every_secret_is_explained_by_the_guide() -> None:
    section = GUIDE.split("## Values for production", 1)[1].split("\n## ", 1)[0]
    assert PRODUCTION.name in section
    cells = re.findall(r"^\| (`[^|]*`) \|", section, re.MULTILINE)
    names = {name for cell in cells for name in re.findall("`([^`]*)`", cell)}
    assert secrets_of(SETTINGS["production"]) == names
