"""Why a version is not served is for administrators: the reason names files of the machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from lstmserve.v1 import model_service_pb2 as pb
from lstmserve.v1.model_service_pb2_grpc import ModelServiceStub
from support.callers import Callers
from support.calls import connect
from support.refusals import serve_callers


def test_only_administrators_are_told_why(
    tiny_store: Path, tmp_path: Path, callers: Callers
) -> None:
    store = tmp_path / "store"
    shutil.copytree(tiny_store, store)
    (store / "tiny" / "2").mkdir()
    (store / "tiny" / "2" / "manifest.json").write_text("{")
    with serve_callers(store, callers) as served, connect(served.process.target) as channel:
        models = ModelServiceStub(channel)
        request = pb.GetModelRequest(name="tiny", version="2")
        found = {
            name: models.GetModel(request, metadata=callers.of(name)).model
            for name in ("shop", "ops")
        }
    assert {card.state for card in found.values()} == {pb.MODEL_STATE_FAILED}
    assert str(store) in found["ops"].state_reason
    assert not found["shop"].state_reason
