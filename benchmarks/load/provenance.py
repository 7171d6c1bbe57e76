"""Where a result comes from: command, date, machine, versions."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
PACKAGES = ("lstmserve", "grpcio", "protobuf", "torch", "uvloop", "h2")


def describe_run(packages: tuple[str, ...] = PACKAGES) -> dict[str, object]:
    """What a result has to be kept with."""
    return {
        "command": shlex.join(["python", "-m", _module(), *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": _revision(),
        "machine": {
            "cpu": _cpu_name(),
            "cores": os.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "system": f"{platform.system()} {platform.release()}",
        },
        "versions": {"python": platform.python_version(), **_versions(packages)},
    }


def name_run(run: Mapping[str, object]) -> str:
    """One line for the title of a plot."""
    machine = run["machine"]
    cpu = f"{machine['cores']} x {machine['cpu']}" if isinstance(machine, Mapping) else ""
    return f"revision {run['revision']}, {cpu}, {run['date']}"


def _module() -> str:
    return ".".join(Path(sys.argv[0]).resolve().relative_to(ROOT).parts[:2])


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _revision() -> str:
    """The commit that was measured; ``-dirty`` with changes that are in no commit."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
