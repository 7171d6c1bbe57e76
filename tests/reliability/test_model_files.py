"""A version's files that are damaged while it is served."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import pytest

from lstmserve.v1 import model_service_pb2 as pb
from lstmserve_bundle.manifest import MANIFEST_NAME
from lstmserve_server.store.inventory import CHANGED, GONE
from support.bystanders import Expected, bystanders
from support.footprint import files_until, settled
from support.live_server import LiveServer, serve_live
from support.wire_requests import copy_of

UNCACHED = ("--cache-bytes", "0", "--state-cache-bytes", "0")
READY, FAILED = pb.MODEL_STATE_READY, pb.MODEL_STATE_FAILED


def truncate(folder: Path) -> None:
    os.truncate(folder / "model.pt", 100)


def overwrite(folder: Path) -> None:
    """In place, every byte of every file."""
    for path in folder.iterdir():
        with path.open("r+b") as file:
            file.write(b"\0" * path.stat().st_size)


def delete(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.fixture
def live(tiny_store: Path, tmp_path: Path) -> Iterator[LiveServer]:
    """A server of version 1, which has the weights that the replies are expected of."""
    sources = {"good": tiny_store / "tiny" / "1"}
    with serve_live(tmp_path, sources, ["good"], *UNCACHED) as live:
        yield live


def test_files_that_are_damaged_while_they_are_served_change_no_reply(
    live: LiveServer, expected: Expected
) -> None:
    """A version's files truncated, overwritten and deleted under load: it is served on from
    memory, exactly, and its card says so; versions that come spoiled displace nothing, and a
    whole one is served then and answers the same.
    """
    live.cards()  # over a connection of its own
    before = settled(live.served)
    with bystanders(live.served.process.target, expected) as others:
        for damage in (truncate, overwrite, delete):
            damage(live.folder(1))
            live.until_state(1, READY, CHANGED)
            others.replies()
    for damage in (truncate, overwrite, empty):
        version, aside = live.prepare("good")
        damage(aside)
        aside.replace(live.folder(version))
        live.until_state(version, FAILED)
        live.until_state(1, READY, GONE)  # there is a store to look at again
        assert live.answering() == 1
    version = live.put("good")
    live.until_state(version, READY)
    assert live.answering() == version
    with bystanders(live.served.process.target, renumbered(expected, version)):
        pass
    files_until(live.served, lambda count: count <= before.files)


def empty(folder: Path) -> None:
    """But for the manifest: without it, a folder is no version at all."""
    for path in folder.iterdir():
        if path.name != MANIFEST_NAME:
            path.unlink()


def renumbered(expected: Expected, version: int) -> Expected:
    """What another version with the same weights answers to the same requests."""
    changed = []
    for request, reply in expected:
        again = copy_of(request)
        again.model_version = ""
        changed.append((again, replace(reply, model=("tiny", str(version), ANY))))
    return changed
