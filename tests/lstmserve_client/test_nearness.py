"""Targets on this machine, in all their spellings."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from lstmserve_client import nearness
from lstmserve_client.nearness import is_local, is_nearby

OWN_NAME = "Web1.shop.example"
HERE = [
    "localhost:1",
    "LOCALHOST:1",
    "localhost.:1",
    "localhost",
    "x.localhost:1",
    "dns:localhost:1",
    "dns:///localhost:1",
    "dns:///localhost",
    "dns://9.9.9.9/localhost:1",
    "dns:///local%68ost:1",
    "127.0.0.1:1",
    "127.1.2.3:1",
    "127.1:1",
    "[::1%lo]:1",
    "ipv6:[::1%25lo]:1",
    "0.0.0.0:1",
    "[::1]:1",
    "[::]:1",
    "[::ffff:127.0.0.1]:1",
    "ipv4:127.0.0.1:1",
    "ipv4:127.0.0.1:1,127.0.0.2:1",
    "ipv6:[::1]:1",
    "ipv6:%5B::1%5D:1",
    "unix:/tmp/socket",
    "unix:///tmp/socket",
    "unix-abstract:name",
]
ELSEWHERE = [
    "models.internal:1",
    "localhost.example:1",
    "mylocalhost:1",
    "dns:///models.internal:1",
    "dns://127.0.0.1/models.internal:1",
    "203.0.113.1:1",
    "[2001:db8::1]:1",
    "ipv4:127.0.0.1:1,203.0.113.1:1",
    "[::ffff:203.0.113.1]:1",
    "127.0.0.1.example:1",
    "web2.shop.example:1",
]
HOSTS = b"""
127.0.0.1	localhost
127.0.1.1 Models.test models # models.example
::1 six.test
127.0.0.2 both.test
10.255.255.1 both.test
127.0.0.1 twice.test
::1       twice.test
203.0.113.1 far.test
# 127.0.0.1 out.test
0.0.0.0 blocked.test\r
\xff \xff.test
"""


@pytest.fixture(autouse=True)
def _hosts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_bytes(HOSTS)
    monkeypatch.setattr(nearness, "_HOSTS_FILE", file)


@pytest.fixture(autouse=True)
def _no_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: OWN_NAME)
    look_up = socket.getaddrinfo

    def numbers_only(*args: object, flags: int, **options: object) -> object:
        assert flags & socket.AI_NUMERICHOST
        return look_up(*args, flags=flags, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", numbers_only)


@pytest.mark.parametrize("target", HERE)
def test_what_is_here_is_known(target: str) -> None:
    assert is_local(target)
    assert is_nearby(target)


@pytest.mark.parametrize("target", ELSEWHERE)
def test_what_is_elsewhere_is_known(target: str) -> None:
    assert not is_local(target)
    assert not is_nearby(target)


@pytest.mark.parametrize("host", ["web1", "WEB1.shop.example.", "localhost.localdomain"])
def test_a_name_of_this_machine_is_nearby_but_may_lead_elsewhere(host: str) -> None:
    """So no proxy is asked for it, and no token is sent there in clear."""
    assert is_nearby(f"dns:///{host}:1")
    assert not is_local(f"{host}:1")


@pytest.mark.parametrize(
    "host", ["models.test", "MODELS", "six.test.", "twice.test", "blocked.test", "localhost6"]
)
def test_a_name_that_the_file_of_hosts_has_for_this_machine_is_nearby(host: str) -> None:
    assert is_nearby(f"{host}:1")
    assert is_nearby(f"dns:///{host}:1")
    assert not is_local(f"{host}:1")  # whether that file counts is for the resolver to say


@pytest.mark.parametrize(
    "host", ["far.test", "both.test", "out.test", "models.example", "127.0.0.1.test", "other.test"]
)
def test_a_name_that_the_file_of_hosts_has_elsewhere_or_not_at_all_is_not(host: str) -> None:
    assert not is_nearby(f"{host}:1")


def test_without_a_file_of_hosts_names_are_those_of_dns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for missing in (tmp_path, tmp_path / "none"):
        monkeypatch.setattr(nearness, "_HOSTS_FILE", missing)
        assert not is_nearby("models.test:1")
        assert is_nearby("localhost:1")


def test_an_address_of_an_interface_is_known_by_how_the_kernel_calls_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Calling(socket.socket):
        def connect(self, place: object) -> None:
            self.place = place

        def getsockname(self) -> tuple[str, int]:
            return ("203.0.113.1", 2)

    monkeypatch.setattr(nearness.socket, "socket", Calling)
    assert is_local("203.0.113.1:1")
    assert not is_local("203.0.113.2:1")
