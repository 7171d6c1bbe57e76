"""Probes of pods with TLS are commands: they are run as the kubelet would run them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.testbed.process import run_program
from benchmarks.testbed.server import ServerProcess
from support.certificates import NAME, Authority
from support.chart import SETTINGS, options_of, pod_of, server_of
from support.compose import program
from support.manifests import BASE

pytestmark = pytest.mark.system

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


@pytest.fixture(params=["tls", "mutual-tls"])
def setting(request: pytest.FixtureRequest) -> str:
    assert SETTINGS[request.param]["tls"]["serverName"] == NAME
    return str(request.param)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """What the secret is mounted as."""
    authority = Authority()
    folder = authority.issue(NAME).write(tmp_path / "secret")
    (folder / "ca.crt").write_bytes(authority.pem)
    return folder


@pytest.fixture
def secured(
    setting: str, secret: Path, tiny_store: Path, tmp_path: Path
) -> Iterator[ServerProcess]:
    """A server with the configuration that the chart gives it, but for where files are."""
    text = options_of(setting).replace("/etc/lstmserve-tls", str(secret))
    file = tmp_path / "server.toml"
    file.write_text(text.replace("/etc/lstmserve/", f"{BASE}/"))
    with ServerProcess(tiny_store, "--config", str(file)) as running:
        yield running


def exit_codes(setting: str, secret: Path, target: str) -> list[int]:
    container = server_of(pod_of(setting))
    codes = []
    for kind in PROBES:
        words = container[kind]["exec"]["command"]
        own = [word.replace("/etc/lstmserve-tls", str(secret)) for word in words[1:]]
        done = run_program(
            [program(words[0]), *own],
            env={**os.environ, "LSTMSERVE_TARGET": target},
            capture_output=True,
            check=False,
        )
        codes.append(done.returncode)
    return codes


def test_they_succeed_at_a_server_that_is_ready(
    setting: str, secret: Path, secured: ServerProcess
) -> None:
    assert exit_codes(setting, secret, secured.target) == [0, 0, 0]


def test_they_fail_where_another_answers(
    setting: str, secret: Path, secured: ServerProcess, tmp_path: Path
) -> None:
    other = shutil.copytree(secret, tmp_path / "other")
    (other / "ca.crt").write_bytes(Authority().pem)
    codes = exit_codes(setting, other, secured.target)
    assert len(codes) == len(PROBES)
    assert all(codes)
