"""Which hosts are this machine: the server has the client's rule."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from lstmserve_client import nearness as clients
from lstmserve_server.telemetry import nearness
from lstmserve_server.telemetry.nearness import is_nearby

HOSTS = "127.0.1.1 collector.test # far.test\n::1 both.test\n203.0.113.1 both.test\n"
HERE = [
    "localhost",
    "LOCALHOST.",
    "x.localhost",
    "localhost6",
    "localhost.localdomain",
    "127.0.0.1",
    "127.1",
    "::1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "0.0.0.0",
    "::",
    "web1",
    "Web1.shop.example",
    "Collector.test",
]
ELSEWHERE = ["collector", "far.test", "both.test", "203.0.113.1", "2001:db8::1", "127.0.0.1.test"]


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text(HOSTS)
    for module in (nearness, clients):
        monkeypatch.setattr(module, "_HOSTS_FILE", file)
    monkeypatch.setattr(socket, "gethostname", lambda: "Web1.shop.example")
    look_up = socket.getaddrinfo

    def numbers_only(*args: object, flags: int, **options: object) -> object:
        assert flags & socket.AI_NUMERICHOST
        return look_up(*args, flags=flags, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", numbers_only)


@pytest.mark.parametrize(("hosts", "expected"), [(HERE, True), (ELSEWHERE, False)])
def test_server_and_client_know_the_same_machine(hosts: list[str], *, expected: bool) -> None:
    found = {host: is_nearby(host) for host in hosts}
    assert found == dict.fromkeys(hosts, expected)
    assert found == {host: clients.is_nearby(f"{_bracketed(host)}:1") for host in hosts}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def test_without_a_file_of_hosts_names_are_those_of_dns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(nearness, "_HOSTS_FILE", tmp_path)
    assert not is_nearby("collector.test")
    assert is_nearby("localhost")
