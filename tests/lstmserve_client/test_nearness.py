"""Targets on this machine, in all their spellings."""

from __future__ import annotations

import socket

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
