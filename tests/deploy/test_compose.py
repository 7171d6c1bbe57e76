"""docker-compose.yml: what Compose understands of it, and that every container is contained."""

from __future__ import annotations

import re
import tomllib
from math import prod
from typing import Any

import pytest

from lstmserve_server.auth.callers_file import parse_callers, read_file
from lstmserve_server.auth.principal import Scope
from support.compose import (
    ROOT,
    Service,
    exec_form,
    instructions,
    mounts,
    read_compose,
    read_dockerfile,
)

PROJECT = read_compose()
SERVICES: dict[str, Service] = PROJECT["services"]
EXACT_VERSION = re.compile(r":v?\d+\.\d+\.\d+(-[a-z0-9.]+)?(@sha256:[0-9a-f]{64})?$")
# more than this much of a machine needs a second look
MOST_CPUS = 2.0
MOST_MEMORY = 1 << 30


def seconds(text: str) -> float:
    """A duration as Compose prints it: 1m30s."""
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)([hms])", text))


def option(name: str) -> str:
    """What the servers are told by --name=…"""
    prefix = f"--{name}="
    (found,) = (f for f in SERVICES["server"]["command"] if f.startswith(prefix))
    return str(found).removeprefix(prefix)


@pytest.fixture(params=SERVICES, name="service")
def each_service(request: pytest.FixtureRequest) -> Service:
    return SERVICES[request.param]


def test_the_whole_stack_is_there() -> None:
    assert set(SERVICES) == {"server", "proxy", "redis", "prometheus", "grafana"}


def test_nobody_is_root_or_has_privileges(service: Service) -> None:
    uid, gid = service["user"].split(":")
    assert int(uid) > 0
    assert gid.isdecimal()
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    loosened = {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode", "userns_mode"}
    assert not loosened & {key for key, value in service.items() if value}


def test_nobody_writes_but_to_memory_or_to_a_volume(service: Service) -> None:
    assert service["read_only"] is True
    assert all(size_of(each) for each in service.get("tmpfs", ()))
    for volume in service.get("volumes", ()):
        assert volume["type"] == "volume" or volume["read_only"] is True
        assert "docker.sock" not in volume.get("source", "")


def size_of(tmpfs: str) -> str:
    found = re.search(r"size=(\d+m)", tmpfs)
    return found[1] if found else ""


def test_everybody_has_a_share_of_the_machine_and_no_more(service: Service) -> None:
    limits = service["deploy"]["resources"]["limits"]
    assert 0 < limits["cpus"] <= MOST_CPUS
    assert 0 < int(limits["memory"]) <= MOST_MEMORY
    assert 0 < limits["pids"] <= 256


def test_alerts_are_about_the_memory_that_a_server_may_have() -> None:
    rules = (ROOT / "docker/prometheus/rules/recording.yml").read_text()
    name = "lstmserve:memory_limit:bytes"
    found = re.search(rf"record: {name}\n +expr: vector\(([\d* ]+)\)", rules)
    assert found is not None
    limit = SERVICES["server"]["deploy"]["resources"]["limits"]["memory"]
    assert prod(map(int, found[1].split("*"))) == int(limit)


def test_images_are_exact_versions(service: Service) -> None:
    assert EXACT_VERSION.search(service["image"]), service["image"]


def test_everybody_is_restarted_and_their_logs_are_rotated(service: Service) -> None:
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"server"}))
def test_health_is_checked(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert seconds(check["timeout"]) < seconds(check["interval"])


def test_the_servers_health_check_is_the_images() -> None:
    assert "healthcheck" not in SERVICES["server"]
    assert exec_form("HEALTHCHECK")[:2] == ["lstmserve", "health"]


def test_nothing_is_reached_from_elsewhere(service: Service) -> None:
    assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ()))


def test_nobody_reaches_who_is_none_of_its_business() -> None:
    members = {
        network: {name for name, service in SERVICES.items() if network in service["networks"]}
        for network in PROJECT["networks"]
    }
    assert members == {
        "front": {"proxy"},
        "dashboards": {"prometheus", "grafana"},
        "back": {"proxy", "server"},
        "cache": {"server", "redis"},
        "scrapes": {"proxy", "server", "prometheus"},
    }
    is_open = {name for name, each in PROJECT["networks"].items() if not each.get("internal")}
    assert is_open == {"front", "dashboards"}


def test_administrators_need_a_token_and_the_file_has_none() -> None:
    file = mounts(SERVICES["server"])["/etc/lstmserve"] / "callers.toml"
    assert option("auth-file") == f"/etc/lstmserve/{file.name}"
    (anonymous,) = parse_callers(read_file(file), file)
    assert anonymous.is_anonymous
    assert anonymous.scopes == {Scope.GENERATE}


def test_a_stop_is_waited_for() -> None:
    drain_seconds = float(option("drain-seconds"))
    # a supervisor waits five seconds more for workers that are stuck
    assert seconds(SERVICES["server"]["stop_grace_period"]) > drain_seconds + 5
    proxy = (ROOT / "docker/proxy/haproxy.cfg").read_text()
    found = re.search(r"^ +hard-stop-after (\d+s)$", proxy, re.MULTILINE)
    assert found is not None
    assert drain_seconds < seconds(found[1]) < seconds(SERVICES["proxy"]["stop_grace_period"])


def test_the_proxy_notices_before_a_server_refuses_calls() -> None:
    notice = float(option("drain-notice-seconds"))
    proxy = (ROOT / "docker/proxy/haproxy.cfg").read_text()
    (line,) = re.findall(r"^ +default-server check (.*)$", proxy, re.MULTILINE)
    words = line.split()
    check = dict(zip(words[::2], words[1::2], strict=True))
    # at worst it has just asked; then it asks again, sooner, as often as it needs to be sure
    waits = [int(check["inter"].removesuffix("ms"))]
    waits += [int(check["fastinter"].removesuffix("ms"))] * (int(check["fall"]) - 1)
    assert sum(waits) / 1000 * 3 <= notice


def test_the_administrators_password_is_nowhere_in_the_repository() -> None:
    def password_of(project: dict[str, Any]) -> str:
        return str(project["services"]["grafana"]["environment"]["GRAFANA_ADMIN_PASSWORD"])

    assert not password_of(PROJECT)
    assert password_of(read_compose(GRAFANA_ADMIN_PASSWORD="secret")) == "secret"


def test_versions_are_the_packages() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert SERVICES["server"]["image"] == f"lstmserve:{package['version']}"
    labels = " ".join(instructions("LABEL", "server"))
    assert f'image.version="{package["version"]}"' in labels


def test_the_server_runs_as_its_image_says() -> None:
    assert instructions("USER", "server") == [SERVICES["server"]["user"]]
    ports = [read_dockerfile().envs[f"LSTMSERVE_{n}"] for n in ("LISTEN", "METRICS_LISTEN")]
    assert instructions("EXPOSE", "server") == [" ".join(p.partition(":")[2] for p in ports)]
