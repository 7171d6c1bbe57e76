"""What is unloaded is gone at once, and waits for no garbage collector."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import aclosing
from io import StringIO
from pathlib import Path

import pytest

from lstmserve_server.app import App
from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from lstmserve_server.settings import read_settings
from lstmserve_server.store.loader import configure_torch
from lstmserve_server.store.repository import ModelRepository
from lstmserve_server.store.version_loader import VersionLoader
from lstmserve_server.telemetry.background_file import BackgroundFile
from lstmserve_server.telemetry.logging import ProcessLog

MAX_TURNS = 100_000
REQUEST = GenerationRequest((1, 2, 3), SamplingParams(), 20)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


async def test_an_unloaded_version_leaves_nothing(tiny_store: Path, no_collector: None) -> None:
    configure_torch(1)
    file = BackgroundFile(StringIO())
    config = read_settings(["--model-store", str(tiny_store)]).to_server_config()
    app = App(config, ProcessLog("INFO", file))
    loader = VersionLoader(2, 1, app._make_engine)
    (stored,) = ModelRepository(tiny_store).scan()["tiny"]
    model = await loader.load(stored)
    engine = weakref.ref(model.engine)
    runner = weakref.ref(model.engine._engine._batch._runner)
    async with aclosing(model.engine.generate(REQUEST)) as outputs:
        assert [output.finish async for output in outputs][-1] is not None
    del outputs

    await loader.unload(model)
    app._metrics.forget(model.name, model.version)
    del model
    for _ in range(MAX_TURNS):  # the thread that closed it lets it go a moment later
        if runner() is None:
            break
        await asyncio.sleep(0)
    assert (engine(), runner()) == (None, None)
    file.close()
