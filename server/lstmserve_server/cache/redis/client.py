"""redis-py's clients, with nothing that they would do by themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol, cast

from redis._parsers import AsyncCommandsParser
from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from lstmserve_server.cache.redis.address import RedisAddress, Topology

CONNECT_SECONDS = 1.0  # an attempt to connect that nobody waits for does not last for ever

Argument = bytes | str | int


class Pipeline(Protocol):
    """Commands that are sent in one go."""

    def execute_command(self, *command: Argument) -> object: ...

    async def execute(self, *, raise_on_error: bool) -> list[Any]: ...


class Client(Protocol):
    """What redis-py's clients have in common."""

    async def execute_command(self, *command: Argument) -> Any: ...  # noqa: ANN401 - Redis decides

    def pipeline(self, *, transaction: bool) -> Pipeline: ...

    def scan_iter(self, *, match: bytes, count: int, **options: object) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


def make_client(address: RedisAddress, max_connections: int) -> Client:
    """Return a client that has not connected yet."""
    options: dict[str, Any] = {
        "username": address.username,
        "password": address.password,
        "max_connections": max_connections,
        **_plain_options(),
    }
    match address.topology:
        case Topology.CLUSTER:
            client: object = _make_cluster(address, options)
        case Topology.SENTINEL:
            client = Redis.from_pool(_make_sentinel_pool(address, options))
        case Topology.STANDALONE:
            client = Redis.from_pool(_make_pool(address, options))
    return cast("Client", client)


def find_nodes(client: Client) -> list[tuple[str, int]]:
    """Return the nodes of a cluster that the client has learned of."""
    if not isinstance(client, RedisCluster):
        return []
    return [(node.host, int(node.port)) for node in client.get_nodes()]


def find_place(client: Client, key: str) -> str:
    """Return which server of a cluster has a key, as far as the client has learned."""
    if not isinstance(client, RedisCluster):
        return ""
    nodes = client.nodes_manager.slots_cache.get(client.keyslot(key))
    return str(nodes[0].name) if nodes else ""


async def learn_layout(client: Client) -> None:
    """Ask a cluster which server has which keys; raise what redis-py raises."""
    if isinstance(client, RedisCluster):
        await client.initialize()


async def scan_nodes(client: Client, pattern: bytes, count: int) -> list[AsyncIterator[bytes]]:
    """Return what finds the keys that match, one for each server that has any."""
    if not isinstance(client, RedisCluster):
        return [client.scan_iter(match=pattern, count=count)]
    await client.initialize()
    return [
        cast("Client", client).scan_iter(match=pattern, count=count, target_nodes=[node])
        for node in client.get_primaries()
    ]


async def close_client(client: Client) -> None:
    """Close every connection, also those that redis-py has lost sight of."""
    await client.aclose()
    if isinstance(client, RedisCluster):  # after an outage it takes itself for closed
        await client.nodes_manager.aclose()
        await client.nodes_manager.aclose("startup_nodes")
    elif isinstance(client, Redis) and isinstance(client.connection_pool, SentinelConnectionPool):
        await client.connection_pool.sentinel_manager.aclose()


def _make_sentinel_pool(address: RedisAddress, options: dict[str, Any]) -> ConnectionPool:
    kind = SentinelManagedSSLConnection if address.is_tls else SentinelManagedConnection
    login = {"username": address.sentinel_username, "password": address.sentinel_password}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        address.nodes, sentinel_kwargs={**login, **_plain_options(), **_tls_options(address)}
    )
    return SentinelConnectionPool(  # type: ignore[no-untyped-call]
        address.service,
        sentinel,
        connection_class=kind,
        db=address.db,
        **options,
        **dict(address.tls),
    )


def _plain_options() -> dict[str, Any]:
    """Return the options that leave out what redis-py would do by itself."""
    return {
        "protocol": 3,
        # the default is ten more attempts with pauses: far over the budget
        "retry": Retry(NoBackoff(), 0),
        # whoever asks ends what takes too long; a second timer at every read and write costs 6 µs,
        # and on Python 3.11 asyncio.wait_for, which it uses, may swallow a cancellation
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_SECONDS,
        "health_check_interval": 0,
        "driver_info": None,  # two commands at every connection
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


def _tls_options(address: RedisAddress) -> dict[str, Any]:
    return {"ssl": True, **dict(address.tls)} if address.is_tls else {}


def _make_pool(address: RedisAddress, options: dict[str, Any]) -> ConnectionPool:
    kind: type[AbstractConnection]
    if address.path:
        kind, options = UnixDomainSocketConnection, {**options, "path": address.path}
    else:
        host, port = address.nodes[0]
        kind = SSLConnection if address.is_tls else Connection
        options = {**options, "host": host, "port": port, **dict(address.tls)}
    return ConnectionPool(connection_class=kind, db=address.db, **options)


def _make_cluster(address: RedisAddress, options: dict[str, Any]) -> object:
    nodes = [ClusterNode(host, port) for host, port in address.nodes]
    cluster = RedisCluster(startup_nodes=nodes, **options, **_tls_options(address))
    cluster.commands_parser = _KeyFinder()
    return cluster


class _KeyFinder(AsyncCommandsParser):
    """Knows where our commands have their key; redis-py asks one node, be it there or not."""

    async def initialize(self, node: ClusterNode | None = None) -> None:
        pass

    async def get_keys(self, *args: Any) -> tuple[Any, ...]:  # noqa: ANN401 - redis-py's
        place = args.index("STREAMS") + 1 if args[0] == "XREAD" else 1
        return args[place : place + 1]
