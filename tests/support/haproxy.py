"""HAProxy before replicas, with the file that stands in docker/proxy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.chaos.program import Program, find_free_address
from support.name_server import NameServer

FILE = Path(__file__).parents[2] / "docker" / "proxy" / "haproxy.cfg"


@contextmanager
def haproxy(servers: Sequence[str], folder: Path) -> Iterator[str]:
    """Where callers connect. Its servers have one port in common, and an address each."""
    hosts, ports = zip(*(server.rsplit(":", 1) for server in servers), strict=True)
    address, (port,) = find_free_address(), {*ports}
    with NameServer(server=hosts) as names:
        environment = {
            "DNS_ADDRESS": names.address,
            "LSTMSERVE_HOST": "server",
            "LSTMSERVE_PORT": port,
            "PROXY_LISTEN": address,
            "PROXY_METRICS": find_free_address(),
        }
        variables = [f"{name}={value}" for name, value in environment.items()]
        command = ["env", *variables, "haproxy", "-f", str(FILE)]
        with Program(command, address, folder / "haproxy.log"):
            yield address
