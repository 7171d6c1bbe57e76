"""What docker-compose.yml and the server's Dockerfile say, read by the programs they are for."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from dockerfile_parse import DockerfileParser

from benchmarks.testbed.process import run_program

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
HTTP_FILE = ROOT / "docker-compose.http.yml"
DOCKERFILE = ROOT / "docker/server/Dockerfile"

Service = dict[str, Any]


def program(name: str) -> str:
    """A command that came with a package of this environment."""
    return str(Path(sys.executable).with_name(name))


def read_compose(*more: Path, **environment: str) -> dict[str, Any]:
    """The project as Compose itself understands it, interpolated and with absolute paths.

    More files are laid over it.
    """
    files = [word for each in (COMPOSE_FILE, *more) for word in ("--file", str(each))]
    done = run_program(
        [program("docker-compose"), *files, "config", "--format", "json"],
        env={"PATH": os.defpath, "HOME": "/nonexistent", **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    assert not done.stderr  # warnings of what Compose would ignore
    project: dict[str, Any] = json.loads(done.stdout)
    return project


def read_dockerfile() -> DockerfileParser:
    return DockerfileParser(path=str(DOCKERFILE))


def instructions(name: str, stage: str | None = None) -> list[str]:
    """The values of all instructions of one name; of one stage only, where one is named."""
    found, current = [], ""
    for each in read_dockerfile().structure:
        if each["instruction"] == "FROM":
            current = each["value"].partition(" AS ")[2]
        if each["instruction"] == name and stage in (None, current):
            found.append(each["value"])
    return found


def exec_form(name: str) -> list[str]:
    """The words of the image's ENTRYPOINT or HEALTHCHECK; raises where a shell would run it."""
    (value,) = instructions(name, "server")
    words: list[str] = json.loads(value[value.index("[") :])
    return words


def mounts(service: Service) -> dict[str, Path]:
    """Where on this machine a service's bind mounts come from, by their place in it."""
    volumes = service.get("volumes", [])
    return {v["target"]: Path(v["source"]) for v in volumes if v["type"] == "bind"}
