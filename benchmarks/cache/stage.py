"""The servers that the parts share: each kind is started when it is first needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

from benchmarks.cache.fleet import Fleet, open_fleet
from benchmarks.testbed.redis import RedisProcess
from benchmarks.testbed.redis_cluster import RedisCluster, open_cluster
from benchmarks.testbed.server import RunningServer, start_server

NO_REPLIES_IN_PROCESS = ("--cache-bytes", "0")

# the last one that generates a reply to whatever is asked: to one question of random words in ten
# later versions say that they do not understand it
VERSION = ("--version-policy", "latest support-en=2")


class Stage:
    """Starts servers with the arguments of the command line and their own."""

    def __init__(self, arguments: Sequence[str], open_until_end: ExitStack) -> None:
        self._arguments = (*VERSION, *arguments)  # what stands later counts
        self._open = open_until_end
        self._servers: dict[tuple[str, ...], RunningServer] = {}
        self._redis: RedisProcess | None = None
        self.redis_version: str | None = None  # when a part has needed Redis

    @property
    def redis(self) -> RedisProcess:
        if self._redis is None:
            self._redis = self._open.enter_context(RedisProcess())
            self.redis_version = self._redis.version
        return self._redis

    @contextmanager
    def open_cluster(self, num_primaries: int, node_timeout_ms: int) -> Iterator[RedisCluster]:
        """A cluster that nobody else needs, with a replica for each primary."""
        with open_cluster(num_primaries, node_timeout_ms=node_timeout_ms) as cluster:
            self.redis_version = cluster.nodes[0].version
            yield cluster

    @property
    def near(self) -> RunningServer:
        """The server as it comes: everything is kept in process."""
        return self._keep()

    @property
    def over_tcp(self) -> RunningServer:
        """Replies are kept in Redis alone, so that every hit is one of Redis."""
        return self._keep(*NO_REPLIES_IN_PROCESS, "--redis-url", self.redis.url)

    @property
    def over_unix(self) -> RunningServer:
        """The same through a Unix socket."""
        return self._keep(*NO_REPLIES_IN_PROCESS, "--redis-url", self.redis.unix_url)

    @property
    def without_states(self) -> RunningServer:
        return self._keep("--state-cache-bytes", "0")

    def start_fleet(self, count: int, *arguments: str) -> AbstractContextManager[Fleet]:
        """So many servers that serve the same, with caches of their own."""
        return open_fleet(count, (*self._arguments, *arguments))

    def start(self, *arguments: str) -> AbstractContextManager[RunningServer]:
        """A server that nobody else needs."""
        return start_server((*self._arguments, *arguments))

    def _keep(self, *arguments: str) -> RunningServer:
        if arguments not in self._servers:
            self._servers[arguments] = self._open.enter_context(self.start(*arguments))
        return self._servers[arguments]


@contextmanager
def open_stage(arguments: Sequence[str]) -> Iterator[Stage]:
    with ExitStack() as open_until_end:
        yield Stage(arguments, open_until_end)
