"""Ray Serve with servers of ours as its replicas, as docs/examples/ray/ray_serve.py starts it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.load.provenance import ROOT
from benchmarks.testbed.ports import find_free_port
from benchmarks.testbed.process import ProgramError
from benchmarks.testbed.server import ReadyProgram

# `make .venv-ray/installed`
PYTHON = ROOT / ".venv-ray/bin/python"
EXAMPLE = ROOT / "docs/examples/ray/ray_serve.py"
# that of a page says whose it is: gRPC is on the other
METRICS_HOST = "127.0.0.2"
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # after Ray's 5 seconds a busy machine's proxy is started over and over
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
}
REPLICA, SERVER = "ray::ServeReplica", "lstmserve-server"


class RayServe(ReadyProgram):
    """An instance of Ray of its own, which leaves nothing behind."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        min_replicas: int = 1,
        max_replicas: int = 1,
        target_ongoing_requests: float = 32,
    ) -> None:
        """``arguments`` are those of each server. Raises ProgramError where Ray is not there."""
        if not PYTHON.exists():
            raise ProgramError(f"{PYTHON} is missing: run `make .venv-ray/installed`")
        given = {
            "grpc-port": find_free_port(),
            "http-port": find_free_port(),
            "server-program": Path(sys.executable).with_name(SERVER),
            "server-arguments": " ".join(("--metrics-listen", f"{METRICS_HOST}:0", *arguments)),
            "min-replicas": min_replicas,
            "max-replicas": max_replicas,
            "target-ongoing-requests": target_ongoing_requests,
            "cpus-per-replica": 1,
            "ray-cpus": max_replicas,  # Ray's own count, however many there are
        }
        command = [str(PYTHON), str(EXAMPLE), *(f"--{key}={value}" for key, value in given.items())]
        # sockets have short names, and Ray a folder of its own at home
        self._files = TemporaryDirectory(prefix="ray-")
        own = {"HOME": self._files.name, "RAY_TMPDIR": self._files.name}
        environment = {**os.environ, **SETTINGS, **own}
        super().__init__(command, environment=environment)

    def end(self) -> None:
        super().end()
        self._files.cleanup()

    @property
    def processes(self) -> list[psutil.Process]:
        """All that this started, and what those did; the oldest first."""
        all_of_it = psutil.Process(self.pid).children(recursive=True)
        return sorted(all_of_it, key=psutil.Process.create_time)

    @property
    def replicas(self) -> list[psutil.Process]:
        return [each for each in self.processes if _command(each).startswith(REPLICA)]

    @property
    def servers(self) -> list[psutil.Process]:
        """Those that listen: one that still starts is none."""
        return [each for each in self.processes if SERVER in _command(each) and _metrics_of(each)]

    @property
    def metrics_urls(self) -> list[str]:
        return [url for each in self.servers for url in _metrics_of(each)]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has ended meanwhile
        return ""


def _metrics_of(process: psutil.Process) -> list[str]:
    try:
        listening = [each.laddr for each in process.net_connections() if each.status == "LISTEN"]
    except psutil.Error:
        return []
    return [f"http://{ip}:{port}/metrics" for ip, port in listening if ip == METRICS_HOST]
