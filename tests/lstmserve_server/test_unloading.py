"""What is unloaded is gone at once, and waits for no garbage collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from lstmserve_server.app import App
from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from lstmserve_server.settings import read_settings
from lstmserve_server.store.loader import configure_torch
from lstmserve_server.store.repository import ModelRepository
from lstmserve_server.store.version_loader import VersionLoader

REQUEST = GenerationRequest((1, 2, 3), SamplingParams(), 20)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


async def test_an_unloaded_version_leaves_nothing(tiny_store: Path, no_collector: None) -> None:
    configure_torch(1)
    app = App(read_settings(["--model-store", str(tiny_store)]).to_server_config())
    loader = VersionLoader(2, 1, app._make_engine)
    (stored,) = ModelRepository(tiny_store).scan()["tiny"]
    model = await loader.load(stored)
    engine = weakref.ref(model.engine)
    runner = weakref.ref(model.engine._engine._batch._runner)
    outputs = [output async for output in model.engine.generate(REQUEST)]
    assert outputs[-1].finish is not None

    await loader.unload(model)
    app._metrics.forget(model.name, model.version)
    del model
    assert (engine(), runner()) == (None, None)
