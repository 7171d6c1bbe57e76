"""Versions that are incomplete, spoiled or gone: told of, mended, and never in the way."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import ResourceInfo

from lstmserve.v1 import model_service_pb2 as pb
from support.calls import find_detail
from support.live_server import LiveServer, serve_live
from support.metrics_page import scrape_until
from support.misdeeds import abort_reading, misbehave
from support.stores import flip_byte

FAILED, READY = pb.MODEL_STATE_FAILED, pb.MODEL_STATE_READY


@pytest.fixture(scope="module")
def live(
    sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    """A server that serves the latest version: at first the old weights."""
    with serve_live(tmp_path_factory.mktemp("live"), sources, ["old"]) as live:
        yield live


@pytest.fixture
def serving(live: LiveServer) -> int:
    """The version that answers before the test."""
    return live.answering()


def test_a_version_is_loaded_when_all_of_it_is_there_however_slowly_it_comes(
    live: LiveServer, serving: int
) -> None:
    version, aside = live.prepare("old")
    folder = live.folder(version)
    folder.mkdir()
    assert version not in live.cards()  # it is no version without a manifest
    for name in ("tokenizer.json", "fingerprint.json", "manifest.json"):
        shutil.copy(aside / name, folder)
    live.until_state(version, FAILED, "model.pt: cannot be read")
    data = (aside / "model.pt").read_bytes()
    (folder / "model.pt").write_bytes(data[: len(data) // 2])
    live.until_state(version, FAILED, "truncated")
    assert live.answering() == serving
    with pytest.raises(grpc.RpcError) as refused:
        live.answering(model_version=str(version))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert find_detail(refused.value, ResourceInfo).resource_name == f"tiny/{version}"
    (folder / "model.pt").write_bytes(data)
    assert live.until_state(version, READY).state_reason == ""
    assert live.answering() == version
    shutil.rmtree(aside)


def test_a_spoiled_version_is_told_of_everywhere_and_loaded_once_it_is_mended(
    live: LiveServer, serving: int
) -> None:
    version, aside = live.prepare("old")
    good = (aside / "model.pt").read_bytes()
    flip_byte(aside / "model.pt")
    aside.replace(live.folder(version))
    card = live.until_state(version, FAILED, "model.pt: its SHA-256")
    assert (card.digest, card.traffic_share, card.is_default) == ("", 0.0, False)
    assert live.answering() == serving
    number = str(version)
    page = scrape_until(
        live.served.process.metrics_url,
        lambda page: page.values("model_state", "version", "state").get((number, "failed")),
    )
    loads = page.values("model_loads_total", "version", "outcome")
    assert (loads[number, "failed"], loads[number, "ok"]) == (1, 0)
    entries = live.served.process.read_entries()
    *_, entry = [
        entry
        for entry in entries
        if entry.get("version") == number and entry.get("state") == "failed"
    ]
    assert entry["level"] == "error"
    assert entry["reason"] == card.state_reason
    (live.folder(version) / "model.pt").write_bytes(good)
    assert live.until_state(version, READY).digest
    assert live.answering() == version


def test_a_version_that_crashes_when_it_runs_harms_nobody(live: LiveServer, serving: int) -> None:
    version, aside = live.prepare("old")
    misbehave(aside, "crash")
    aside.replace(live.folder(version))
    live.until_state(version, FAILED, "signal 8")
    assert live.answering() == serving
    assert live.served.process.process.poll() is None


def test_a_version_whose_tokenizer_ends_who_reads_it_harms_nobody(
    live: LiveServer, serving: int
) -> None:
    version, aside = live.prepare("old")
    abort_reading(aside)
    aside.replace(live.folder(version))
    live.until_state(version, FAILED, "signal 6")
    assert live.answering() == serving
    assert live.served.process.process.poll() is None


def test_a_version_whose_file_never_ends_keeps_nobody_waiting(
    live: LiveServer, serving: int
) -> None:
    version, aside = live.prepare("old")
    (aside / "model.pt").unlink()
    os.mkfifo(aside / "model.pt")
    aside.replace(live.folder(version))
    live.until_state(version, FAILED, "model.pt: cannot be read: it is not a regular file")
    assert live.answering() == serving


def test_a_version_that_is_deleted_gives_way_to_one_that_is_there(
    live: LiveServer, serving: int
) -> None:
    version = live.put("new")
    live.until_state(version, READY)
    assert live.answering() == version
    away = live.store.with_name("deleted")
    live.folder(version).rename(away)
    live.until(lambda cards: version not in cards)
    assert live.answering() == serving
    away.rename(live.folder(version))
    live.until_state(version, READY)
    assert live.answering() == version


def test_a_store_that_goes_and_comes_back_changes_nothing(live: LiveServer, serving: int) -> None:
    def said(event: str) -> bool:
        return event in live.served.process.read_log()

    away = live.store.with_name("away")
    live.store.rename(away)
    live.until(lambda _: said("the model store cannot be read"))
    assert live.answering() == serving
    with pytest.raises(grpc.RpcError) as refused:
        live.models.LoadModel(pb.LoadModelRequest(name="tiny", version=str(serving)))
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert str(live.store) in refused.value.details()
    away.rename(live.store)
    live.until(lambda _: said("the model store can be read again"))
    assert live.cards()[serving].state == READY
    assert live.answering() == serving
