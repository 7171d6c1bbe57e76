"""docker-compose.yml's services as processes of this machine.

Commands, environments and configuration files are the compose file's and the image's own. What a
container has and a process has not, a file system and an address of its own, is replaced here and
nowhere else. Grafana is left out: it is in no package that tests could install.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
import yaml

from support.calls import connect
from support.compose import Service, exec_form, mounts, program, read_compose, read_dockerfile
from support.metrics_page import MetricsPage
from support.name_server import NameServer
from support.redis_process import find_free_port

HOST = "127.0.0.1"
# all of 127/8 is this machine: every server has an address, and all have the same port
SERVERS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
WAIT_SECONDS = 60.0
PAUSE_SECONDS = 0.02


def wait_until(condition: Callable[[], object]) -> None:
    """Until something is so in other processes, which have no events for us."""
    ends_at = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < ends_at, "never so"
        time.sleep(PAUSE_SECONDS)


class Stack:
    """Three servers, the proxy before them, Redis and Prometheus, for the length of a block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._services: dict[str, Service] = read_compose()["services"]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._grpc, self._metrics, self._proxy, self._operators, self._redis, self._prometheus = (
            find_free_port() for _ in range(6)
        )
        self.names = NameServer(server=SERVERS)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._end)
            stack.enter_context(self.names)
            self._start_redis()
            for host in SERVERS:
                self.start_server(host)
            self._start_proxy()
            self._start_prometheus()
            for host in SERVERS:
                self.wait_for_server(host)
            self.wait_for_servers()
            wait_until(lambda: self._answers(self.prometheus_url))
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
    def target(self) -> str:
        """Where callers connect."""
        return f"{HOST}:{self._proxy}"

    @property
    def servers_target(self) -> str:
        """All servers, for callers who need no proxy."""
        return f"ipv4:{','.join(map(self.server_target, SERVERS))}"

    @property
    def operators_url(self) -> str:
        """The proxy's page."""
        return f"http://{HOST}:{self._operators}"

    @property
    def prometheus_url(self) -> str:
        return f"http://{HOST}:{self._prometheus}"

    @property
    def redis_url(self) -> str:
        return f"redis://{HOST}:{self._redis}"

    def server_target(self, host: str) -> str:
        return f"{host}:{self._grpc}"

    def page(self, host: str) -> MetricsPage:
        return MetricsPage(f"http://{host}:{self._metrics}/metrics")

    def proxy_page(self) -> MetricsPage:
        return MetricsPage(f"{self.operators_url}/metrics")

    def health_check(self, host: str) -> int:
        """The exit code of the image's health check, asked in that container."""
        command = [program(exec_form("HEALTHCHECK")[0]), *exec_form("HEALTHCHECK")[1:]]
        environment = {**os.environ, "LSTMSERVE_TARGET": self.server_target(host)}
        return subprocess.run(command, env=environment, check=False, capture_output=True).returncode

    def wait_for_servers(self, count: int = len(SERVERS)) -> None:
        """Until the proxy sends calls to so many, which is a while after they began or ended."""
        wait_until(lambda: self._count_up() == count)

    def wait_for_server(self, host: str) -> None:
        """Until a server that was started serves."""
        with connect(self.server_target(host)) as channel:
            grpc.channel_ready_future(channel).result(WAIT_SECONDS)

    def send_signal(self, host: str, number: signal.Signals) -> None:
        self._processes[host].send_signal(number)

    def wait(self, host: str) -> int:
        """The exit code of a server that was told to end."""
        return self._processes[host].wait()

    @contextmanager
    def restored(self, host: str) -> Iterator[None]:
        """Whatever becomes of a server in the block, it serves again behind it."""
        try:
            yield
        finally:
            self._processes[host].kill()
            self._processes[host].wait()
            self.start_server(host)
            self.wait_for_server(host)
            self.wait_for_servers()

    def start_server(self, host: str) -> None:
        """As Compose would start a container; ``wait_for_server`` says when it serves."""
        image = {name: v for name, v in read_dockerfile().envs.items() if name != "PATH"}
        self._start(
            host,
            "server",
            [program(word) for word in exec_form("ENTRYPOINT")],
            {
                "0.0.0.0:50051": self.server_target(host),
                "0.0.0.0:9464": f"{host}:{self._metrics}",
                "redis:6379": f"{HOST}:{self._redis}",
            },
            environment=image,
        )

    def _count_up(self) -> float:
        page = self.proxy_page() if self._answers(self.operators_url) else None
        up = page.values("haproxy_server_status", "proxy", "state") if page else {}
        return up.get(("servers", "UP"), -1)

    def _answers(self, url: str) -> bool:
        try:
            MetricsPage(f"{url}/metrics")
        except OSError:
            return False
        return True

    def _start_redis(self) -> None:
        # what comes behind the file overrides it
        local = ["--bind", HOST, "--port", str(self._redis)]
        self._start("redis", "redis", [], {}, more=local)

    def _start_proxy(self) -> None:
        self._start(
            "proxy",
            "proxy",
            [],
            {
                "0.0.0.0:50051": self.target,
                "0.0.0.0:8404": f"{HOST}:{self._operators}",
                "127.0.0.11:53": self.names.address,
                "50051": str(self._grpc),
            },
        )

    def _start_prometheus(self) -> None:
        folder = mounts(self._services["prometheus"])["/etc/prometheus"]
        text = (folder / "prometheus.yml").read_text()
        text = text.replace("localhost:9090", f"{HOST}:{self._prometheus}")
        settings = yaml.safe_load(text.replace("proxy:8404", f"{HOST}:{self._operators}"))
        settings["global"]["scrape_interval"] = "1s"  # or a test would wait for that long
        settings["rule_files"] = [str(folder / pattern) for pattern in settings["rule_files"]]
        # it asks the machine's name server and no other, so it is told what that would say
        (servers,) = (job for job in settings["scrape_configs"] if "dns_sd_configs" in job)
        (lookup,) = servers.pop("dns_sd_configs")
        assert (lookup["names"], lookup["type"], lookup["port"]) == (["server"], "A", 9464)
        servers["static_configs"] = [{"targets": [f"{host}:{self._metrics}" for host in SERVERS]}]
        local = self._folder / "prometheus.yml"
        local.write_text(yaml.safe_dump(settings))
        self._start(
            "prometheus",
            "prometheus",
            ["prometheus"],
            {"/etc/prometheus/prometheus.yml": str(local), "=/prometheus": f"={self._folder}/data"},
            more=[f"--web.listen-address={HOST}:{self._prometheus}"],
        )

    def _start(
        self,
        name: str,
        service_name: str,
        entrypoint: list[str],
        places: Mapping[str, str],
        *,
        environment: Mapping[str, str] | None = None,
        more: list[str] | None = None,
    ) -> None:
        """Start a service's command with what it names by these, and by its mounts, replaced."""
        service = self._services[service_name]
        replaced = {**places, **{inside: str(path) for inside, path in mounts(service).items()}}

        def localize(text: str) -> str:
            for inside, outside in replaced.items():
                text = text.replace(inside, outside)
            return text

        command = [*(service.get("entrypoint") or entrypoint), *service["command"]]
        variables = {**(environment or {}), **service.get("environment", {})}
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*map(localize, command), *(more or ())],
                env={**os.environ, **{key: localize(value) for key, value in variables.items()}},
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _end(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
