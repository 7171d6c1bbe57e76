"""docker-compose.yml at work on this machine, without containers.

A container has an address and a name server of its own, and processes have not: what stands in for
them is said here and nowhere else. Grafana is left out: no package that tests could install has it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
import yaml

from benchmarks.testbed.name_server import NameServer
from benchmarks.testbed.ports import find_free_port
from benchmarks.testbed.process import run_program
from benchmarks.testbed.waiting import until
from support.calls import connect
from support.compose import exec_form, mounts, program, read_dockerfile
from support.containers import Containers
from support.metrics_page import MetricsPage

HOST = "127.0.0.1"
# all of 127/8 is this machine: every server has an address, and all have the same port
SERVERS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
# three servers prove a version at a time, and may share two cores with three other tests
WAIT_SECONDS = 200.0


class Stack:
    """Three servers, the proxy before them, Redis and Prometheus, for the length of a block."""

    def __init__(self, folder: Path) -> None:
        self._containers = Containers(folder)
        self.names = NameServer(server=SERVERS)
        self._grpc, self._metrics = find_free_port(), find_free_port()
        self.target = f"{HOST}:{find_free_port()}"  # where callers connect
        self.operators = f"{HOST}:{find_free_port()}"  # the proxy's page
        self.prometheus = f"{HOST}:{find_free_port()}"
        self._redis = find_free_port()
        self.redis_url = f"redis://{HOST}:{self._redis}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._containers)
            stack.enter_context(self.names)
            self._start_redis()
            for host in SERVERS:
                self._start_server(host)
            self._start_proxy()
            self._start_prometheus()
            for host in SERVERS:
                self._wait_for_server(host)
            self.wait_for_servers()
            until(lambda: _has_page(self.prometheus), "Prometheus answers")
            self._exits = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exits.close()

    @property
    def servers_target(self) -> str:
        """All servers, for callers who need no proxy."""
        return f"ipv4:{','.join(map(self.server_target, SERVERS))}"

    def server_target(self, host: str) -> str:
        return f"{host}:{self._grpc}"

    def page(self, host: str) -> MetricsPage:
        return MetricsPage(f"http://{host}:{self._metrics}/metrics")

    def health_check(self, host: str) -> int:
        """The exit code of the image's health check, asked in that container."""
        name, *arguments = exec_form("HEALTHCHECK")
        environment = os.environ | {"LSTMSERVE_TARGET": self.server_target(host)}
        return run_program(
            [program(name), *arguments], env=environment, check=False, capture_output=True
        ).returncode

    def wait_for_servers(self, count: int = len(SERVERS)) -> None:
        """Until the proxy sends calls to so many, which is a while after they began or ended."""
        until(
            lambda: _has_page(self.operators) and self._count_up() == count,
            f"the proxy sends calls to {count} servers",
        )

    def send_signal(self, host: str, number: signal.Signals) -> None:
        self._containers.send_signal(host, number)

    def wait(self, host: str) -> int:
        """The exit code of a server that was told to end."""
        return self._containers.wait(host)

    @contextmanager
    def restored(self, host: str) -> Iterator[None]:
        """Whatever becomes of a server in the block, it serves again behind it."""
        try:
            yield
        finally:
            self._containers.kill(host)
            self._start_server(host)
            self._wait_for_server(host)
            self.wait_for_servers()

    def _count_up(self) -> float:
        page = MetricsPage(f"http://{self.operators}/metrics")
        return page.values("haproxy_server_status", "proxy", "state")["servers", "UP"]

    def _wait_for_server(self, host: str) -> None:
        with connect(self.server_target(host)) as channel:
            grpc.channel_ready_future(channel).result(WAIT_SECONDS)

    def _start_redis(self) -> None:
        # what comes behind the file overrides it
        local = ["--bind", HOST, "--port", str(self._redis)]
        self._containers.start("redis", "redis", {}, more=local)

    def _start_server(self, host: str) -> None:
        places = {
            "0.0.0.0:50051": self.server_target(host),
            "0.0.0.0:9464": f"{host}:{self._metrics}",
            "redis:6379": f"{HOST}:{self._redis}",
        }
        name, *arguments = exec_form("ENTRYPOINT")
        self._containers.start(
            host,
            "server",
            places,
            entrypoint=[program(name), *arguments],
            environment={key: v for key, v in read_dockerfile().envs.items() if key != "PATH"},
        )

    def _start_proxy(self) -> None:
        places = {
            "0.0.0.0:50051": self.target,
            "0.0.0.0:8404": self.operators,
            "127.0.0.11:53": self.names.address,
            "50051": str(self._grpc),
        }
        self._containers.start("proxy", "proxy", places)

    def _start_prometheus(self) -> None:
        local = self._containers.folder / "prometheus.yml"
        local.write_text(self._localize_prometheus())
        places = {
            "/etc/prometheus/prometheus.yml": str(local),
            "=/prometheus": f"={self._containers.folder}/data",
        }
        listen = [f"--web.listen-address={self.prometheus}"]
        self._containers.start(
            "prometheus", "prometheus", places, entrypoint=["prometheus"], more=listen
        )

    def _localize_prometheus(self) -> str:
        """Its settings, with our addresses: it asks no name server but the machine's."""
        folder = mounts(self._containers.services["prometheus"])["/etc/prometheus"]
        text = (folder / "prometheus.yml").read_text()
        text = text.replace("localhost:9090", self.prometheus).replace("proxy:8404", self.operators)
        settings = yaml.safe_load(text)
        settings["global"]["scrape_interval"] = "1s"  # or a test would wait for that long
        settings["rule_files"] = [str(folder / pattern) for pattern in settings["rule_files"]]
        (servers,) = (job for job in settings["scrape_configs"] if "dns_sd_configs" in job)
        (lookup,) = servers.pop("dns_sd_configs")
        assert (lookup["names"], lookup["type"], lookup["port"]) == (["server"], "A", 9464)
        servers["static_configs"] = [{"targets": [f"{host}:{self._metrics}" for host in SERVERS]}]
        return yaml.safe_dump(settings)


def _has_page(address: str) -> bool:
    try:
        MetricsPage(f"http://{address}/metrics")
    except OSError:
        return False
    return True
