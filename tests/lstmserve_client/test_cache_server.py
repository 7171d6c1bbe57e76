"""The cache's verbs against a real server: what they store and drop is what replies come from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.server import ServerProcess
from benchmarks.testbed.waiting import until
from lstmserve_client import AsyncClient, CacheMode, CacheOutcome, Client, NotCachedError
from lstmserve_client.cli import app

VARIANTS = 3
# far more than a write takes: one that takes longer is given up, and nobody repeats it
PATIENT = ("--redis-budget-ms", "5000")

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def caching_server(tiny_store: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tiny_store, "--cache-variants", str(VARIANTS)) as running:
        yield running


@pytest.fixture
def client(caching_server: ServerProcess) -> Iterator[Client]:
    """Connected to a server whose cache is empty."""
    with Client(caching_server.target) as connected:
        connected.purge_cache()
        yield connected


@pytest.fixture
def command(
    caching_server: ServerProcess, client: Client, monkeypatch: pytest.MonkeyPatch
) -> Command:
    monkeypatch.setenv("COLUMNS", "160")

    def run(*args: str, stdin: str = "") -> Result:
        env = {"LSTMSERVE_TARGET": caching_server.target}
        return CliRunner().invoke(app, args, input=stdin, env=env)

    return run


def only_cached(client: Client, prompt: str) -> CacheOutcome:
    return client.reply(prompt, cache_mode=CacheMode.ONLY_IF_CACHED).completion.cache


def test_what_is_warmed_is_cached_until_it_is_purged(client: Client) -> None:
    with pytest.raises(NotCachedError):
        only_cached(client, "hello")
    first, again = client.warm_cache("hello"), client.warm_cache("hello")
    assert (first.generated, first.already_stored) == (VARIANTS, 0)
    assert (again.generated, again.already_stored) == (0, VARIANTS)
    assert only_cached(client, "hello") is CacheOutcome.HIT
    assert client.purge_cache("another model").memory_entries == 0
    assert only_cached(client, "hello") is CacheOutcome.HIT
    assert client.purge_cache("tiny").memory_entries >= VARIANTS
    with pytest.raises(NotCachedError):
        only_cached(client, "hello")


async def test_the_asynchronous_client_does_the_same(caching_server: ServerProcess) -> None:
    async with AsyncClient(caching_server.target) as client:
        await client.purge_cache()
        assert (await client.warm_cache("hello")).generated == VARIANTS
        reply = await client.reply("hello", cache_mode=CacheMode.ONLY_IF_CACHED)
        assert reply.completion.timings.saved_seconds > 0
        assert (await client.purge_cache("tiny", "1")).memory_entries >= VARIANTS
        with pytest.raises(NotCachedError):
            await client.reply("hello", cache_mode=CacheMode.ONLY_IF_CACHED)


def test_stats_tell_what_happened(client: Client) -> None:
    before = client.cache_stats()
    client.warm_cache("hello")
    reply = client.reply("hello")
    after = client.cache_stats()
    assert (after.enabled, after.variants, after.redis) == (True, VARIANTS, None)
    old, new = before.stores[0], after.stores[0]
    assert (new.store, new.kind) == ("memory", "reply")
    assert new.hits - old.hits == 1
    assert new.stored - old.stored == VARIANTS
    assert (old.entries, new.entries) == (0, VARIANTS)
    assert 0 < new.used_bytes <= new.max_bytes
    saved = after.saved_seconds - before.saved_seconds
    assert saved == pytest.approx(reply.completion.timings.saved_seconds)


def test_a_caller_cannot_be_purged_where_callers_share(command: Command) -> None:
    result = command("cache", "purge", "--caller", "bob")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: invalid request: caller: ")
    assert result.stderr.count("\n") == 1


def test_the_verbs_work_together(command: Command) -> None:
    missing = command("generate", "hello", "--cache", "only_if_cached")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert missing.stderr.startswith("error: the reply is not in the cache; ")

    lines = 'hello\n\n{"prompt": "where is my parcel", "sampling": {"temperature": 0}}\n'
    warm = command("cache", "warm", "-", stdin=lines)
    expected = f"2 prompts: {VARIANTS + 1} replies generated, 0 already stored, 0 prompts failed, "
    assert (warm.exit_code, warm.stderr) == (0, "")
    assert warm.stdout.startswith(expected)

    found = command(
        *("generate", "where is my parcel", "--temperature", "0", "--cache", "only_if_cached"),
        "--show-stats",
    )
    assert found.exit_code == 0
    assert " cache=hit saved=" in found.stderr
    stats = json.loads(command("cache", "stats", "--json").stdout)
    assert stats["stores"][0]["entries"] == VARIANTS + 1

    purge = command("cache", "purge", "--yes")
    assert purge.stdout.endswith(" entries from memory and 0 from Redis\n")
    assert command("generate", "hello", "--cache", "only_if_cached").exit_code == 1


def test_a_line_that_the_server_refuses_does_not_stop_the_others(command: Command) -> None:
    lines = 'hello\n{"prompt": "hello", "model": "nobody"}\n{"prompt": " "}\nwhere is my parcel\n'
    result = command("cache", "warm", "-", "--concurrency", "1", stdin=lines)
    assert result.exit_code == 1
    assert f"{2 * VARIANTS} replies generated" in result.stdout
    model, blank = result.stderr.splitlines()
    assert model.startswith("line 2: ")
    assert "nobody" in model
    assert blank.startswith("line 3: invalid request: request.prompt: ")


def test_a_server_without_a_cache_says_so(tiny_store: Path) -> None:
    with (
        ServerProcess(tiny_store, "--cache-bytes", "0") as server,
        Client(server.target) as client,
    ):
        assert client.cache_stats().enabled is False
        with pytest.raises(NotCachedError):
            client.reply("hello", cache_mode=CacheMode.ONLY_IF_CACHED)
        env = {"LSTMSERVE_TARGET": server.target}
        result = CliRunner().invoke(app, ["cache", "warm", "-"], input="hello\n", env=env)
    assert result.exit_code == 1
    assert "no cache is configured" in result.stderr


def test_what_one_server_was_warmed_with_another_has_through_redis(tiny_store: Path) -> None:
    with (
        RedisProcess() as redis,
        ServerProcess(tiny_store, "--redis-url", redis.url, *PATIENT) as warmed,
        ServerProcess(tiny_store, "--redis-url", redis.url, *PATIENT) as other,
        Client(warmed.target) as client,
        Client(other.target) as elsewhere,
    ):
        num_replies = client.warm_cache("hello").generated
        until(lambda: replies_in_redis(client) == num_replies, "all replies are in Redis")
        stats = client.cache_stats()
        assert stats.redis is not None
        assert (stats.redis.available, stats.redis.used_bytes > 0) == (True, True)
        assert "available" in show_stats(warmed.target)
        assert client.purge_cache("another model").redis_entries == 0
        assert elsewhere.warm_cache("hello").already_stored == num_replies
        assert only_cached(elsewhere, "hello") is CacheOutcome.HIT
        assert elsewhere.purge_cache().redis_entries >= num_replies
        assert elsewhere.warm_cache("hello").generated == num_replies


def replies_in_redis(client: Client) -> int:
    """How many were written; that is done beside answering."""
    stores = client.cache_stats().stores
    return sum(each.stored for each in stores if (each.store, each.kind) == ("redis", "reply"))


def show_stats(target: str) -> str:
    result = CliRunner().invoke(app, ["cache", "stats"], env={"LSTMSERVE_TARGET": target})
    assert result.exit_code == 0
    return result.stdout
