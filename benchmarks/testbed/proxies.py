"""HAProxy and nginx before replicas, with the files that stand in docker/proxy."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.load.provenance import ROOT
from benchmarks.testbed.ports import find_free_address
from benchmarks.testbed.process import Program

FILES = ROOT / "docker" / "proxy"
LISTEN, FOLDER = "0.0.0.0:50051", "/tmp/"  # noqa: S108 - as nginx's file has them
CONNECT_SECONDS = 5.0


class Proxy(Program):
    """Ready when it listens."""

    def __init__(self, command: Sequence[str], address: str) -> None:
        super().__init__(command)
        self.address = address

    def is_ready(self) -> bool:
        host, port = self.address.rsplit(":", 1)
        with suppress(OSError), socket.create_connection((host, int(port)), CONNECT_SECONDS):
            return True
        return False

    def end(self) -> None:
        self.stop()  # which ends nginx's workers, too


@contextmanager
def haproxy(variables: Mapping[str, str]) -> Iterator[str]:
    """Where callers connect; raises ProgramError if it does not start.

    ``variables`` are those of its file that say where servers are.
    """
    address = find_free_address()
    all_of_them = {"PROXY_LISTEN": address, "PROXY_METRICS": find_free_address(), **variables}
    given = [f"{name}={value}" for name, value in all_of_them.items()]
    with Proxy(["env", *given, "haproxy", "-f", str(FILES / "haproxy.cfg")], address):
        yield address


@contextmanager
def nginx(servers: Sequence[str], folder: Path) -> Iterator[str]:
    """Where callers connect; raises ProgramError if it does not start."""
    address, path = find_free_address(), folder / "nginx.conf"
    places = {LISTEN: address, FOLDER: f"{folder}/", **_upstream(servers)}
    text = (FILES / "nginx.conf").read_text("utf-8")
    for inside, outside in places.items():
        text = text.replace(inside, outside)
    path.write_text(text, "utf-8")
    with Proxy(["nginx", "-e", "stderr", "-c", str(path), "-g", "daemon off;"], address):
        yield address


def _upstream(servers: Sequence[str]) -> dict[str, str]:
    """Return the file's two servers, and as many as there are."""
    options = " max_fails=1 fail_timeout=2s;"
    first, second = (f"server server{number}:50051{options}" for number in (1, 2))
    return {first: " ".join(f"server {each}{options}" for each in servers), second: ""}
