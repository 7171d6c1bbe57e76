"""Versions that were proved once, and need no second proof by another server of the same tests.

A proof follows from a version's files, the number of rows and that of threads; a test of proofs
with other instructions forks no servers. A server loads what is remembered just as an engine that
is started again loads what the first one has proved.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import torch

from lstmserve_bundle import BundleError, verify_bundle
from lstmserve_bundle.manifest import MANIFEST_NAME
from lstmserve_server.engine.archive import path_of
from lstmserve_server.engine.process.loader import LoadedModel, load_archive

Load = Callable[[Path, int, int], LoadedModel]


def remembered(load_version: Load, trials: Path) -> Load:
    """Return a ``load_version`` that keeps the archives of exact versions in a folder."""

    def load(folder: Path, archive: int, max_rows: int) -> LoadedModel:
        kept = _find_kept(folder, max_rows, trials)
        if kept is not None and kept.exists():
            Path(path_of(archive)).write_bytes(kept.read_bytes())
            return load_archive(archive, max_rows, "")
        model = load_version(folder, archive, max_rows)
        if kept is not None and not model.difference:
            _keep(archive, kept)
        return model

    return load


def _find_kept(folder: Path, max_rows: int, trials: Path) -> Path | None:
    """Return where the archive is, or will be; None of files that are not as published."""
    try:
        verify_bundle(folder)
        facts = (folder / MANIFEST_NAME).read_bytes()
    except (BundleError, OSError):
        return None
    named = f"{hashlib.sha256(facts).hexdigest()}-{max_rows}-{torch.get_num_threads()}"
    return trials / named


def _keep(archive: int, kept: Path) -> None:
    coming = kept.with_suffix(f".{os.getpid()}")
    coming.write_bytes(Path(path_of(archive)).read_bytes())
    coming.rename(kept)  # another server may read it at this moment
