"""Proxies that the environment names, which gRPC goes by."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from lstmserve_client import (
    Client,
    DeadlineExceededError,
    RetryPolicy,
    UnavailableError,
    nearness,
)
from lstmserve_client.channel import channel_options
from lstmserve_client.config import make_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import FakeServer

ONCE = RetryPolicy(max_attempts=1)
NOBODY = "http://127.0.0.1:9"  # discard: nothing listens there


@pytest.mark.parametrize("variable", ["grpc_proxy", "https_proxy", "http_proxy"])
@pytest.mark.parametrize("method", ["generate", "reply"])
def test_a_server_on_this_machine_is_asked_without_a_proxy(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, variable: str, method: str
) -> None:
    monkeypatch.setenv(variable, NOBODY)
    assert call(method, "hi")


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A proxy that the environment names, and that answers nobody."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        for variable in ("grpc_proxy", "https_proxy", "http_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{listening.getsockname()[1]}")
        for variable in ("no_proxy", "no_grpc_proxy"):
            monkeypatch.delenv(variable, raising=False)
        yield listening


def was_asked(proxy: socket.socket) -> bool:
    try:
        proxy.accept()[0].close()
    except BlockingIOError:
        return False
    return True


SPELLINGS = [
    "dns:///localhost:{port}",
    "LOCALHOST:{port}",
    "localhost.:{port}",
    "x.localhost:{port}",
    "ipv4:127.0.0.1:{port}",
    "ipv6:%5B::1%5D:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "127.1.2.3:{port}",
    "0.0.0.0:{port}",
    "unix:/nobody/listens/here",
    "unix-abstract:nobody-listens-here",
    f"{socket.gethostname()}:{{port}}",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_this_machine_leads_to_a_proxy(
    fake: FakeServer, proxy: socket.socket, spelling: str
) -> None:
    """Whether anybody listens there or not."""
    port = fake.target.rpartition(":")[2]
    with Client(spelling.format(port=port), retry=ONCE) as client, suppress(UnavailableError):
        client.health(timeout_seconds=10)
    assert not was_asked(proxy)


def test_a_name_that_the_file_of_hosts_has_for_this_machine_leads_to_no_proxy(
    proxy: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1 models.test\n")
    monkeypatch.setattr(nearness, "_HOSTS_FILE", file)
    target = "models.test:1"
    options = dict(channel_options(make_config(target), target, checked=True))
    assert options["grpc.enable_http_proxy"] == 0
    with Client(target, retry=ONCE) as client, suppress(UnavailableError):
        client.health(timeout_seconds=10)
    assert not was_asked(proxy)


def test_another_machine_is_asked_by_the_proxy(proxy: socket.socket) -> None:
    with Client("models.invalid:1", retry=ONCE) as client, suppress(DeadlineExceededError):
        client.health(timeout_seconds=1)
    assert was_asked(proxy)


@pytest.mark.parametrize("target", ["models.internal:50051", "10.0.0.1:50051", "dns:///models:1"])
def test_others_are_asked_as_the_environment_says(target: str) -> None:
    options = dict(channel_options(make_config(target), target, checked=True))
    assert "grpc.enable_http_proxy" not in options
