"""A real Redis Cluster, and what operators and misfortune do to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import redis
from redis.crc import key_slot

from benchmarks.testbed.ports import HOST
from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.waiting import until

SLOTS = 16384
# what a node is asked to take along in one go
MOVED_KEYS = 1000
MOVE_MS = 10_000
NODE = (
    *("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"),
    *("--repl-diskless-sync-delay", "0"),
)


class RedisCluster:
    """Primaries and their replicas, some of which may be gone."""

    def __init__(self, nodes: Sequence[RedisProcess]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        return url_of(*self.nodes)

    @property
    def running(self) -> list[RedisProcess]:
        return [node for node in self.nodes if not node.has_ended]

    @property
    def primaries(self) -> list[RedisProcess]:
        """Those that run."""
        return [node for node in self.running if not is_replica(node)]

    def find_replica(self, primary: RedisProcess) -> RedisProcess:
        return next(
            node
            for node in self.running
            if node.client.info("replication").get("master_port") == primary.port
        )

    def wait_until_whole(self) -> None:
        """Wait until every node runs and serves, and each replica has a copy of its primary."""
        until(lambda: all(map(self._is_well, self.nodes)) and agree(self.nodes), self._describe)

    def _is_well(self, node: RedisProcess) -> bool:
        found = node.client.info("replication")
        is_copied = found["role"] == "master" or found["master_link_status"] == "up"
        return is_copied and is_serving(node, len(self.nodes))

    def _describe(self) -> list[str]:
        return [node.read_text("CLUSTER", "NODES") for node in self.running]


@contextmanager
def open_cluster(
    num_primaries: int, *arguments: str, node_timeout_ms: int
) -> Iterator[RedisCluster]:
    """So many primaries, and a replica for each, for as long as the block takes.

    A node that does not answer for ``node_timeout_ms`` is replaced.
    """
    options = (*NODE, "--cluster-node-timeout", str(node_timeout_ms), *arguments)
    with ExitStack() as servers:
        nodes = [servers.enter_context(RedisProcess(*options)) for _ in range(2 * num_primaries)]
        primaries, replicas = nodes[:num_primaries], nodes[num_primaries:]
        start_cluster(*primaries, without_slots=replicas)
        for primary, replica in zip(primaries, replicas, strict=True):
            replicate(primary, replica)
        cluster = RedisCluster(nodes)
        cluster.wait_until_whole()
        yield cluster


def start_cluster(*nodes: RedisProcess, without_slots: Sequence[RedisProcess] = ()) -> None:
    """Make servers with ``cluster-enabled yes`` one cluster; returns when each serves."""
    for number, node in enumerate(nodes):
        slots = range(SLOTS * number // len(nodes), SLOTS * (number + 1) // len(nodes))
        node.read_text("CLUSTER", "ADDSLOTS", *map(str, slots))  # ADDSLOTSRANGE is of Redis 7
        # no two epochs alike: settling that takes a cluster a while, in which layouts differ
        node.read_text("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
    members = (*nodes, *without_slots)
    for node in members[1:]:
        node.read_text("CLUSTER", "MEET", HOST, str(members[0].port))
    until(
        lambda: all(is_serving(node, len(members)) for node in members),
        lambda: [node.read_text("CLUSTER", "INFO") for node in members],
    )


def is_serving(node: RedisProcess, num_nodes: int) -> bool:
    """Return whether a node knows so many nodes of a cluster, which serves all slots."""
    info = node.read_text("CLUSTER", "INFO")
    return "cluster_state:ok" in info and f"cluster_known_nodes:{num_nodes}" in info


def agree(nodes: Sequence[RedisProcess]) -> bool:
    """Return whether all know the same of who has which slots; one that moved is told of later."""
    return len({_read_layout(node) for node in nodes}) == 1


def _read_layout(node: RedisProcess) -> frozenset[tuple[str, ...]]:
    """Return the name of each node that has slots, and those."""
    raw = redis.Redis(connection_pool=node.client.connection_pool)
    raw.response_callbacks.clear()
    lines = raw.execute_command("CLUSTER", "NODES").decode().splitlines()  # type: ignore[no-untyped-call]
    fields = [line.split() for line in lines]
    return frozenset((each[0], *each[8:]) for each in fields if len(each) > 8)  # noqa: PLR2004


def is_replica(node: RedisProcess) -> bool:
    return bool(node.client.info("replication")["role"] == "slave")


def replicate(primary: RedisProcess, replica: RedisProcess) -> None:
    """Make a node without slots the replica of another."""
    replica.read_text("CLUSTER", "REPLICATE", primary.read_text("CLUSTER", "MYID"))


def url_of(*nodes: RedisProcess) -> str:
    return "redis+cluster://" + ",".join(node.address for node in nodes)


def find_slots(node: RedisProcess) -> list[int]:
    """Return the slots of the keys that a node has."""
    keys = node.client.keys("*")
    return sorted({key_slot(key if isinstance(key, bytes) else key.encode()) for key in keys})


def move_slot(slot: int, source: RedisProcess, destination: RedisProcess) -> None:
    """Move a slot between primaries that are in use, as an operator's tools do it."""
    ids = [node.read_text("CLUSTER", "MYID") for node in (source, destination)]
    destination.read_text("CLUSTER", "SETSLOT", str(slot), "IMPORTING", ids[0])
    source.read_text("CLUSTER", "SETSLOT", str(slot), "MIGRATING", ids[1])
    ask = source.client.execute_command
    while keys := ask("CLUSTER", "GETKEYSINSLOT", slot, MOVED_KEYS):  # type: ignore[no-untyped-call]
        ask("MIGRATE", HOST, destination.port, "", 0, MOVE_MS, "KEYS", *keys)  # type: ignore[no-untyped-call]
    for node in (destination, source):
        node.read_text("CLUSTER", "SETSLOT", str(slot), "NODE", ids[1])
