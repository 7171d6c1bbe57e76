"""A reserved port is for listeners that share it on purpose, and only for ours."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from lstmserve_server.config import Address
from lstmserve_server.errors import StartupError
from lstmserve_server.supervision.port import reserve_port

ANY_PORT = Address("127.0.0.1", 0)


def listen(address: Address, *, reuse_port: bool) -> socket.socket:
    return socket.create_server((address.host, address.port), reuse_port=reuse_port)


@pytest.fixture
def reserved() -> Iterator[Address]:
    with reserve_port(ANY_PORT) as address:
        yield address


@pytest.mark.parametrize("reuse_port", [False, True])
def test_a_port_on_which_anybody_listens_is_refused(reuse_port: bool) -> None:
    with listen(ANY_PORT, reuse_port=reuse_port) as taken:
        address = Address(*taken.getsockname())
        with pytest.raises(StartupError, match=f"--listen: .*{address}"), reserve_port(address):
            pass


def test_a_port_reserved_by_another_supervisor_is_refused_before_its_workers_listen(
    reserved: Address,
) -> None:
    with pytest.raises(StartupError, match="--listen"), reserve_port(reserved):
        pass


def test_workers_listen_on_a_reserved_port_and_nobody_else(reserved: Address) -> None:
    assert reserved.port
    with listen(reserved, reuse_port=True), listen(reserved, reuse_port=True):
        with pytest.raises(OSError, match="in use"):
            listen(reserved, reuse_port=False)
        with pytest.raises(StartupError), reserve_port(reserved):
            pass


def test_no_connection_comes_to_the_reservation_itself(reserved: Address) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((reserved.host, reserved.port))
    with listen(reserved, reuse_port=True) as worker:
        for _ in range(20):
            with socket.create_connection((reserved.host, reserved.port)):
                worker.accept()[0].close()


def test_a_port_is_free_again_though_its_last_connections_linger() -> None:
    with reserve_port(ANY_PORT) as address:
        with listen(address, reuse_port=True) as worker:
            client = socket.create_connection((address.host, address.port))
            worker.accept()[0].close()  # the side that closes first lingers
        client.close()
    with reserve_port(address) as again:
        assert again == address


@pytest.mark.parametrize("host", ["localhost", "0.0.0.0"])
def test_names_and_the_address_of_every_interface_are_understood(host: str) -> None:
    with reserve_port(Address(host, 0)) as address:
        assert address.host == host
        assert address.port


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_of_no_interface_is_named(host: str) -> None:
    with pytest.raises(StartupError, match=f"--listen: .*{host}"), reserve_port(Address(host, 1)):
        pass
