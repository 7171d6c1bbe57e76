"""Small models that take long to train and are only read: made once, and kept for the next run.

They lie in ``.pytest_cache``, under a digest of all that they are made by.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import torch
from filelock import FileLock

ROOT = Path(__file__).parents[2]
MAKERS = ("training", "server/lstmserve_bundle")
KEPT = ROOT / ".pytest_cache" / "models"
MAKE_SECONDS = 170  # two trainings, on a machine that others use


def make_once(name: str, make: Callable[[Path], object]) -> Path:
    """Return the folder that the first who asks has made; the others wait for it."""
    folder = KEPT / _digest() / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock", timeout=MAKE_SECONDS):
        if not folder.exists():
            coming = folder.with_suffix(".coming")
            shutil.rmtree(coming, ignore_errors=True)  # of one whose time ran out
            coming.mkdir()
            make(coming)
            coming.rename(folder)
    return folder


@cache
def _digest() -> str:
    """Return what the weights depend on, as a file's name: code, torch, and the CPU's kernels."""
    found = hashlib.sha256(
        f"{torch.__version__} {torch.backends.cpu.get_cpu_capability()}".encode()
    )
    for path in _sources():
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()[:16]


def _sources() -> Iterator[Path]:
    yield Path(__file__).with_name("tiny_checkpoint.py")
    for folder in MAKERS:
        yield from sorted((ROOT / folder).rglob("*.py"))
        yield from sorted((ROOT / folder).rglob("*.json"))
