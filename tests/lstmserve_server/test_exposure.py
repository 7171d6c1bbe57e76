"""A port that others can reach has TLS and knows its callers, unless told otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lstmserve_server.config import Address, AuthConfig, ServerConfig, StoreConfig, TlsConfig
from lstmserve_server.errors import StartupError
from lstmserve_server.startup import check_exposure

TLS = TlsConfig(Path("tls.crt"), Path("tls.key"))
MUTUAL = TlsConfig(Path("tls.crt"), Path("tls.key"), Path("ca.crt"))
AUTH = AuthConfig(Path("callers.toml"))
PUBLIC = ("0.0.0.0", "::", "10.0.0.7", "lstmserve.example")
PRIVATE = ("127.0.0.1", "127.8.8.8", "::1", "localhost")


def config(host: str, tls: TlsConfig | None, auth: AuthConfig | None) -> ServerConfig:
    address = Address(host, 50051)
    return ServerConfig(address, address, StoreConfig(Path("store")), tls=tls, auth=auth)


@pytest.mark.parametrize("host", PUBLIC)
@pytest.mark.parametrize(
    ("tls", "auth", "missing"),
    [
        (None, None, "no TLS (--tls-certificate and --tls-key) and no authentication ("),
        (None, AUTH, "no TLS (--tls-certificate and --tls-key);"),
        (TLS, None, "there is no authentication (--auth-file or --tls-client-authority);"),
    ],
)
def test_what_is_missing_is_told_with_the_ways_out(
    host: str, tls: TlsConfig | None, auth: AuthConfig | None, missing: str
) -> None:
    with pytest.raises(StartupError) as refused:
        check_exposure(config(host, tls, auth))
    text = str(refused.value)
    assert text.startswith("--listen: ")
    assert missing in text
    assert all(way in text for way in ("give what is missing", "127.0.0.1:50051", "--insecure"))
    assert "\n" not in text


@pytest.mark.parametrize("host", PUBLIC)
@pytest.mark.parametrize(("tls", "auth"), [(TLS, AUTH), (MUTUAL, None), (MUTUAL, AUTH)])
def test_with_both_any_address_will_do(host: str, tls: TlsConfig, auth: AuthConfig | None) -> None:
    check_exposure(config(host, tls, auth))


@pytest.mark.parametrize("host", PRIVATE)
def test_on_a_loopback_address_neither_is_needed(host: str) -> None:
    check_exposure(config(host, None, None))


@pytest.mark.parametrize("host", PUBLIC)
def test_the_http_port_is_no_exception(host: str) -> None:
    private = replace(config("127.0.0.1", None, None), http_listen=Address(host, 8000))
    with pytest.raises(StartupError, match=r"^--http-listen: .* no TLS .*127\.0\.0\.1:8000"):
        check_exposure(private)
    check_exposure(replace(private, tls=TLS, auth=AUTH))
    check_exposure(replace(private, http_listen=Address("::1", 8000)))


@pytest.mark.parametrize("host", PUBLIC)
def test_who_says_so_listens_in_clear(host: str) -> None:
    check_exposure(replace(config(host, None, None), is_insecure=True))
