"""URLs: what they say, which are refused, and that no secret leaves them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.cache.redis.address import (
    TLS_OPTIONS,
    Topology,
    check_url,
    describe,
    parse_url,
)

SECRET = "s3cr3t"


def find_error(url: str) -> ValueError | None:
    try:
        check_url(url)
    except ValueError as error:
        return error
    return None


def test_reads_host_port_database_and_login() -> None:
    address = parse_url("redis://me:p%40ss@cache.example:7000/3")
    assert (address.topology, address.nodes) == (Topology.STANDALONE, (("cache.example", 7000),))
    assert (address.username, address.password, address.db) == ("me", "p@ss", 3)
    assert not address.is_tls


def test_reads_a_socket() -> None:
    address = parse_url("unix://:pw@/run/redis.sock?db=2")
    assert (address.path, address.password, address.db) == ("/run/redis.sock", "pw", 2)
    address = parse_url("unix:/run//redis.sock?db=2")
    assert (address.path, address.password, address.db) == ("/run//redis.sock", None, 2)


def test_reads_sentinels() -> None:
    address = parse_url("rediss+sentinel://me:pw@a,b:7000,[::1]/main/4?ssl_ca_certs=/ca.pem")
    assert address.nodes == (("a", 26379), ("b", 7000), ("::1", 26379))
    assert (address.topology, address.service, address.db) == (Topology.SENTINEL, "main", 4)
    assert (address.is_tls, address.tls) == (True, (("ssl_ca_certs", "/ca.pem"),))


def test_reads_a_cluster() -> None:
    address = parse_url("redis+cluster://a,b:7000,[::1]:7001")
    assert address.topology is Topology.CLUSTER
    assert address.nodes == (("a", 6379), ("b", 7000), ("::1", 7001))


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("", "redis://host"),
        ("http://host", "redis://host"),
        ("redis://", "hosts like"),
        ("redis://a,b", "one host"),
        ("redis://a:port", "hosts like"),
        ("redis://a:0", "hosts like"),
        ("redis://a/one", "a number"),
        ("redis://a?ssl_ca_certs=/ca.pem", "rediss://"),
        ("rediss://a?retries=1", "ssl_ca_certs"),
        ("rediss://a?ssl_cert_reqs=yes", "none, optional, required"),
        ("redis+sentinel://a", "service"),
        ("redis+sentinel://user:12/34@host", "percent-encoded"),
        ("redis+cluster://a/1", "a cluster"),
        ("unix://host/path", "absolute path"),
        ("unix://path", "absolute path"),
        ("redis://:pass#word@host", "%23"),
        ("redis://[::1", "hosts like"),
        ("redis+cluster://a,[::1", "hosts like"),
        ("//[::1", "redis://host"),
    ],
)
def test_refuses(url: str, word: str) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        check_url(url)
    assert word in str(caught.value)


@pytest.mark.parametrize(
    ("url", "described"),
    [
        ("redis://me:s3cr3t@host/3", "redis://host:6379/3"),
        ("rediss://:s3cr3t@[::1]:1?ssl_keyfile=/key", "rediss://[::1]:1/0"),
        ("unix://:s3cr3t@/run/redis.sock", "unix:///run/redis.sock?db=0"),
        ("redis+sentinel://:s3cr3t@a,b:1/main", "redis+sentinel://a:26379,b:1/main/0"),
        ("redis+cluster://:s3cr3t@a", "redis+cluster://a:6379/0"),
    ],
)
def test_describes_without_secrets(url: str, described: str) -> None:
    assert describe(url) == described
    assert SECRET not in repr(parse_url(url))


@given(
    st.sampled_from(["redis", "rediss+sentinel", "redis+cluster", "unix", "x"]),
    st.text(alphabet="/?#@:[]%,=&;+ \\\tab1é", max_size=8),
    st.text(alphabet="/?#@:[]%,=&;+ \\\tab1é", max_size=8),
    st.sampled_from(["@host", "@host:1/main", "@/path", "", "@a,b/1?db=2"]),
)
def test_no_message_has_any_of_the_password(
    scheme: str, before: str, after: str, rest: str
) -> None:
    """However badly it is quoted."""
    url = f"{scheme}://me:{before}{SECRET}{after}{rest}"
    error = find_error(url)
    if error is not None:
        assert SECRET not in str(error)
        assert error.__cause__ is None  # which a log would show
        assert error.__suppress_context__ or error.__context__ is None


def test_the_options_of_tls_are_documented() -> None:
    page = (Path(__file__).parents[4] / "docs/cache.md").read_text()
    assert all(f"`{name}`" in page for name in TLS_OPTIONS)
