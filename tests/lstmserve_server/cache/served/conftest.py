"""Servers over real sockets: one that keeps nothing, to compare with, and one that keeps all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.served import Served, serve
from support.stores import copy_version

# far more than a lookup takes, so that a busy machine fails no test
PATIENT = ("--redis-budget-ms", "5000")


@pytest.fixture(scope="session")
def two_models(
    tiny_store: Path, other_version: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A store that holds ``tiny``, and ``other``, which answers differently."""
    store = tmp_path_factory.mktemp("two_models")
    shutil.copytree(tiny_store / "tiny", store / "tiny")
    copy_version(other_version, store, "other")
    return store


@pytest.fixture(scope="session")
def uncached(two_models: Path) -> Iterator[Served]:
    """A server without any cache: what it says is right."""
    with serve(two_models, "--default-model", "tiny", "--cache-bytes", "0") as served:
        yield served


@pytest.fixture(scope="session")
def cached(two_models: Path) -> Iterator[Served]:
    """A server that keeps every reply the first time; nobody counts what others do to it."""
    with serve(two_models, "--default-model", "tiny", "--cache-threshold", "1") as served:
        yield served
