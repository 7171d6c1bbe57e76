"""Virtual environments for servers whose dependencies are not ours."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TORCH = "torch==2.13.0"
INSTALLED = "installed.txt"


class UnavailableError(Exception):
    """A server cannot be installed here; the words say why."""


def default_folder() -> Path:
    """Outside the tree, where the user's caches are."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lstmserve-benchmarks"


def prepare_environment(folder: Path, name: str, requirements: Sequence[str]) -> Path:
    """The Python of an environment with these packages; made once, then found again."""
    environment = folder / name
    python, done = environment / "bin/python", environment / INSTALLED
    wanted = "\n".join((TORCH, *requirements))
    if done.exists() and done.read_text("utf-8") == wanted:
        return python
    _run([sys.executable, "-m", "venv", str(environment)])
    # first and pinned: nothing else may choose torch's build, which could be one for CUDA
    _run([str(python), "-m", "pip", "install", "--quiet", TORCH])
    _run([str(python), "-m", "pip", "install", "--quiet", TORCH, *requirements])
    done.write_text(wanted, "utf-8")
    return python


def list_versions(python: Path, requirements: Sequence[str]) -> dict[str, str]:
    """The versions that are installed of these packages and of torch."""
    listed = _run([str(python), "-m", "pip", "list", "--format=freeze"])
    versions = dict(line.split("==") for line in listed.splitlines() if "==" in line)
    names = [requirement.partition("==")[0] for requirement in (*requirements, TORCH)]
    return {name: versions.get(name, "not installed") for name in names}


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing on standard error"]
        raise UnavailableError(f"{' '.join(command[1:5])}: {said[-1]}")
    return done.stdout
