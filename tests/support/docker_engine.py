"""docker-compose.yml in a real engine, by the commands of docs/deploying.md."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

from benchmarks.testbed.waiting import until
from support.metrics_page import MetricsPage

TARGET, OPERATORS, PROMETHEUS = "127.0.0.1:50051", "127.0.0.1:8404", "127.0.0.1:9090"


class Docker:
    """The engine that ``tests/deploy/containers/run`` has started, and the checkout it works in."""

    def __init__(self) -> None:
        self.checkout = Path(os.environ["STACK_FOLDER"])

    def __call__(self, *words: str) -> str:
        """What a command prints; its exit code must be 0."""
        code, said, problem = self.run(*words)
        assert code == 0, f"docker {' '.join(words)}: exit code {code}: {said}{problem}"
        return said

    def run(self, *words: str) -> tuple[int, str, str]:
        """A command's exit code and both of its outputs."""
        done = subprocess.run(["docker", *words], check=False, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def compose(self, *words: str) -> str:
        return self("compose", *words)

    def inside(self, service: str, script: str) -> str:
        """What a shell prints in a service's container."""
        return self.compose("exec", "-T", service, "sh", "-c", script)

    def beside(self, service: str, *words: str) -> tuple[int, str]:
        """How our client ends, and what it says, in the networks of a service's container."""
        (container,) = self.compose("ps", "--quiet", service).split()
        network = f"--network=container:{container}"
        client = ("run", "--rm", network, "--entrypoint=lstmserve", self.image())
        code, said, problem = self.run(*client, *words)
        return code, said + problem

    def image(self) -> str:
        """The server's, as the compose file names it now."""
        (name,) = self.compose("config", "--images", "server").split()
        return name

    def servers(self) -> list[str]:
        """The containers that run."""
        return self.compose("ps", "--quiet", "server").split()

    def networks(self, container: str) -> list[str]:
        """The names of those that a container is in."""
        names = "{{range $name, $_ := .NetworkSettings.Networks}}{{println $name}}{{end}}"
        return self("inspect", "--format", names, container).split()

    def scale(self, count: int) -> None:
        """Let so many servers run, and wait until the proxy sends calls to all of them."""
        self.compose("up", "--detach", "--wait", "--scale", f"server={count}")
        wait_for_servers(count)


def wait_for_servers(count: int) -> None:
    """Until the proxy sends calls to so many."""
    until(
        lambda: _read_proxy("haproxy_server_status", "state")["servers", "UP"] == count,
        f"the proxy sends calls to {count} servers",
    )


def count_retries() -> float:
    """How many calls the proxy had to send again."""
    return _read_proxy("haproxy_backend_retry_warnings_total")[("servers",)]


def query(expression: str) -> list[float]:
    """The values that Prometheus finds."""
    with urlopen(f"http://{PROMETHEUS}/api/v1/query?query={quote(expression)}") as answer:
        return [float(each["value"][1]) for each in json.load(answer)["data"]["result"]]


def _read_proxy(name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """By proxy and these labels."""
    return MetricsPage(f"http://{OPERATORS}/metrics").values(name, "proxy", *labels)
