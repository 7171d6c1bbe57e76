"""Options that make no sense are refused by name, before anything is connected."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lstmserve_client import AsyncClient, Client, Tls
from lstmserve_client.addresses import check_targets
from lstmserve_client.config import make_config

REMOTE = "models.example.org:50051"


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("target", ""),
        ("target", []),
        ("target", ["127.0.0.1:1", " "]),
        ("target", None),
        ("target", "localhost"),
        ("target", "10.0.0.1"),
        ("target", "http://localhost:50051"),
        ("target", "grpc://localhost:50051"),
        ("target", "a:1,b:2"),
        ("target", " localhost:50051"),
        ("caller", "not a name"),
        ("caller", "x" * 65),
        ("timeout_seconds", 0),
        ("timeout_seconds", math.nan),
        ("keepalive_seconds", 3.9),
        ("keepalive_seconds", math.nan),
        ("keepalive_timeout_seconds", math.inf),
        ("metadata", {"Authorization": "Bearer x"}),
        ("metadata", {"x-caller-id": "me"}),
        ("metadata", {"X-Request-Id": "me"}),
        ("metadata", {"grpc-timeout": "1"}),
        ("metadata", {"two words": "1"}),
        ("metadata", {"x-bytes-bin": "1"}),
        ("metadata", {"x-name": "né"}),
        ("metadata", {"x-name": "two\nlines"}),
        ("token", "né"),
        ("token", "two\nlines"),
        ("token", ""),
    ],
)
def test_an_option_is_refused_by_name(client: type, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name}: ") as raised:
        client(**{name: value})
    assert "lines" not in str(raised.value)  # values may be secrets


@pytest.mark.parametrize(
    "target",
    [
        "localhost:1",
        "10.0.0.1:1",
        "[::1]:1",
        "models_1.internal:50051",
        "dns:///models.internal:50051",
        "dns:models.internal",
        "ipv4:10.0.0.1:1,10.0.0.2:1",
        "ipv6:[::1]:1",
        "unix:/run/lstmserve",
        "unix:relative",
        "unix-abstract:name",
        "xds:///models",
    ],
)
def test_every_kind_of_target_of_grpc_is_taken(target: str) -> None:
    assert make_config(target).targets == (target,)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("http://127.0.0.1:50051", 'write "127.0.0.1:50051"'),
        ("http://127.0.0.1:50051/v1", 'write "127.0.0.1:50051"'),
        ("HTTP://models", 'write "models:PORT"'),
        ("grpc://models:1", 'write "models:1"'),
        ("http://me:secret@models:1", 'write "models:1"'),
        ("https://models:443", 'write "models:443", and give tls=Tls() (--tls)'),
        (["models:1", "grpcs://models:443/"], 'write "models:443", and give tls=Tls() (--tls)'),
    ],
)
def test_a_target_that_is_an_url_is_told_without_its_scheme(
    target: str | list[str], told: str
) -> None:
    with pytest.raises(ValueError, match=r"^target: must be HOST:PORT, not a URL of ") as raised:
        Client(target)
    assert str(raised.value).endswith(f"; {told}")
    assert "secret" not in str(raised.value)


def test_sockets_of_virtual_machines_have_larger_ports() -> None:
    check_targets(["vsock:2:4294967290"])


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:99999",
        "localhost:0",
        "[::1]:65536",
        "dns:///models:70000",
        "ipv4:10.0.0.1:1,10.0.0.2:99999",
        ["models:1", "models:99999"],
    ],
)
def test_a_port_that_is_none_is_told(target: str | list[str]) -> None:
    with pytest.raises(ValueError, match=r"^target: ports are 1 to 65535, not \d+ of "):
        Client(target)


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("name", "value"),
    [("tls", "ca.pem"), ("tls", True), ("retry", 3), ("hedge", True), ("metadata", "a=b")],
)
def test_a_value_of_another_type_is_refused_by_name(client: type, name: str, value: object) -> None:
    with pytest.raises(TypeError, match=rf"^{name}: must be a "):
        client(**{name: value})


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_an_option_that_there_is_not_is_refused(client: type) -> None:
    with pytest.raises(TypeError, match=r"^retries: Client.* has no such option; .* retry\?"):
        client(retries=1)


@pytest.mark.parametrize(
    "target",
    ["127.0.0.1:50051", "localhost:50051", "[::1]:50051", "127.8.8.8:1", "unix:/run/lstmserve"],
)
def test_a_token_may_stay_on_this_machine_in_clear(target: str) -> None:
    assert make_config(target, token="t").token == "t"


@pytest.mark.parametrize(
    "target", [REMOTE, "10.0.0.1:1", ["127.0.0.1:1", REMOTE], "dns:///localhost.example.org:1"]
)
def test_a_token_does_not_leave_it_in_clear(target: str | list[str]) -> None:
    with pytest.raises(ValueError, match=r"^token: would be sent in clear"):
        make_config(target, token="t")
    assert make_config(target, token="t", tls=Tls())
    assert make_config(target, token="t", allow_clear_token=True)


def test_secrets_are_not_shown() -> None:
    options: dict[str, Any] = {"token": "secret", "metadata": {"x-key": "secret"}}
    assert "secret" not in repr(make_config("127.0.0.1:1", **options))


def test_waiting_for_ever_is_said_by_name() -> None:
    assert make_config("127.0.0.1:1", timeout_seconds=math.inf).timeout_seconds == math.inf


@pytest.mark.parametrize("name", ["log_level", "cache_stats", "purge_cache"])
def test_administration_wants_one_server(name: str) -> None:
    with (
        Client(["127.0.0.1:1", "127.0.0.1:2"]) as client,
        pytest.raises(ValueError, match=r"^target: administration"),
    ):
        getattr(client, name)()
