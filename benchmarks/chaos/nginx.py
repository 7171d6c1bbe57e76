"""nginx before replicas, with the file that stands in docker/proxy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.chaos.program import Program, find_free_address
from benchmarks.load.provenance import ROOT

FILE = ROOT / "docker" / "proxy" / "nginx.conf"
LISTEN, FOLDER = "0.0.0.0:50051", "/tmp/"  # noqa: S108 - as the file has them


@contextmanager
def nginx(servers: Sequence[str], folder: Path) -> Iterator[str]:
    """Where callers connect; raises ServerError if it does not start."""
    address, path = find_free_address(), folder / "nginx.conf"
    places = {LISTEN: address, FOLDER: f"{folder}/", **_upstream(servers)}
    text = FILE.read_text("utf-8")
    for inside, outside in places.items():
        text = text.replace(inside, outside)
    path.write_text(text, "utf-8")
    command = ["nginx", "-e", "stderr", "-c", str(path), "-g", "daemon off;"]
    program = Program(command, address, folder / "nginx.log")
    program.start()
    try:
        yield address
    finally:
        program.stop()  # which ends its workers, too


def _upstream(servers: Sequence[str]) -> dict[str, str]:
    """The file's two servers, and as many as there are."""
    options = " max_fails=1 fail_timeout=2s;"
    first, second = (f"server server{number}:50051{options}" for number in (1, 2))
    return {first: " ".join(f"server {each}{options}" for each in servers), second: ""}
