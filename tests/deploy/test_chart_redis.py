"""A Redis by TLS, whose secrets hold a password and an authority, by the Helm chart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from lstmserve_server.cache.redis.address import parse_url
from support.chart import SETTINGS, ask_helm, find_in, pod_of, render, server_of
from support.compose import ROOT

pytestmark = pytest.mark.system

PASSWORD = "$(REDIS_PASSWORD)"  # as Kubernetes writes it


def test_a_password_of_a_secret_is_put_into_the_url() -> None:
    password, url = server_of(pod_of("redis-tls"))["env"]
    key = {"name": "redis-secret", "key": "password"}
    assert password == {"name": "REDIS_PASSWORD", "valueFrom": {"secretKeyRef": key}}
    assert url["name"] == "LSTMSERVE_REDIS_URL"
    address = parse_url(url["value"].replace(PASSWORD, "s3cret"))
    assert (address.is_tls, address.password) == (True, "s3cret")


def test_the_authority_that_the_url_names_is_mounted() -> None:
    pod = pod_of("redis-tls")
    _, url = server_of(pod)["env"]
    authority = Path(dict(parse_url(url["value"].replace(PASSWORD, "s3cret")).tls)["ssl_ca_certs"])
    (mount,) = (
        m for m in server_of(pod)["volumeMounts"] if m["mountPath"] == str(authority.parent)
    )
    assert mount["readOnly"] is True
    (volume,) = (each for each in pod["volumes"] if each["name"] == mount["name"])
    assert volume["secret"] == {"secretName": "redis-tls-cert"}
    assert SETTINGS["redis-tls"]["redis"]["tls"]["existingSecret"] == "redis-tls-cert"


def test_without_a_url_the_secret_says_all_of_it() -> None:
    (url,) = server_of(pod_of("default"))["env"]
    key = {"name": "lstmserve-redis", "key": "url", "optional": True}
    assert url == {"name": "LSTMSERVE_REDIS_URL", "valueFrom": {"secretKeyRef": key}}


def test_a_url_that_leads_to_no_redis_is_refused() -> None:
    assert "/redis/url" in ask_helm({"redis": {"url": "redis.data:6379"}})["error"]


def test_the_example_of_the_guide_is_one() -> None:
    guide = (ROOT / "docs/deploying.md").read_text()
    (text,) = re.findall(r"```yaml\n(redis:\n.*?)```", guide, re.DOTALL)
    pod = render(yaml.safe_load(text))
    server = server_of(find_in(pod, "Deployment")["spec"]["template"]["spec"])
    url = server["env"][1]["value"].replace(PASSWORD, "s3cret")
    assert parse_url(url).nodes == (("cache.data.svc.cluster.local", 6379),)
    options = dict(parse_url(url).tls)
    assert str(Path(options["ssl_ca_certs"]).parent) in {
        m["mountPath"] for m in server["volumeMounts"]
    }
