"""What is unloaded is gone from memory, without the garbage collector's help."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from lstmserve_server.app import App
from lstmserve_server.config import Address, EngineConfig, ServerConfig, StoreConfig
from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from lstmserve_server.store.live_store import LiveStore
from lstmserve_server.telemetry.logging import ProcessLog
from support.stores import copy_version

pytestmark = pytest.mark.usefixtures("forked_engines")

ANYWHERE = Address("127.0.0.1", 0)
MAX_TURNS = 100_000
REQUEST = GenerationRequest((1, 2, 3), SamplingParams(seed=7), max_tokens=9, min_tokens=9)


class NoLog(ProcessLog):
    """Changes nothing, and drops nothing."""

    def __init__(self) -> None:
        self._level = "INFO"

    def set_level(self, level: str) -> None:
        self._level = level

    def on_drop(self, callback: Callable[[], object]) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
async def store(tiny_store: Path, tmp_path: Path) -> AsyncIterator[LiveStore]:
    """Two versions as the server has them, with all that it counts of them."""
    for number in (1, 2):
        copy_version(tiny_store / "tiny" / "1", tmp_path, "tiny", number)
    config = ServerConfig(
        ANYWHERE,
        ANYWHERE,
        StoreConfig(tmp_path, version_policy="all", poll_seconds=0),
        EngineConfig(max_running=2),
    )
    store = App(config, NoLog())._make_live_store()
    await store.start()
    yield store
    await store.close()


async def test_an_unloaded_version_is_freed_at_once(store: LiveStore, no_collector: None) -> None:
    model = store.catalog.resolve("tiny", "2")
    tokens = [id_ async for output in model.engine.generate(REQUEST) for id_ in output.token_ids]
    assert len(tokens) == 9
    assert model.engine.pid is not None
    process = psutil.Process(model.engine.pid)
    remains = [weakref.ref(part) for part in (model, model.bundle, model.engine)]
    del model
    record = await store.administration.unload(("tiny", 2))
    del record
    while store._manager._endings:
        await next(iter(store._manager._endings.values()))
    assert not process.is_running()
    for _ in range(MAX_TURNS):  # the task that ended its engine has it in hand for a moment
        if not (left := [type(each).__name__ for part in remains if (each := part()) is not None]):
            break
        await asyncio.sleep(0)
    assert left == []
