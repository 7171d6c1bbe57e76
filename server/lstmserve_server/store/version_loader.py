"""Makes versions of the store answer, and ends them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lstmserve_bundle import Bundle
from lstmserve_server.engine.async_engine import AsyncEngine
from lstmserve_server.following import read_aside
from lstmserve_server.store.allocator import give_back
from lstmserve_server.store.archive import make_archive
from lstmserve_server.store.loader import (
    LoadedModel,
    compile_version,
    load_archive,
    open_version,
    verify_version,
)
from lstmserve_server.store.rehearsal import rehearse
from lstmserve_server.store.repository import StoredVersion
from lstmserve_server.store.served_model import ServedModel


class VersionLoader:
    """Loads in a thread, so that the event loop goes on."""

    def __init__(
        self, max_rows: int, threads: int, make_engine: Callable[[LoadedModel], AsyncEngine]
    ) -> None:
        self._max_rows = max_rows
        self._threads = threads
        self._make_engine = make_engine

    async def load(self, stored: StoredVersion, *, is_alone: bool) -> ServedModel:
        """A version that runs; raises ModelLoadError.

        One that is not alone in the store is tried first where it can do no harm.
        """
        with make_archive() as archive:
            if not is_alone:
                await self._rehearse(stored, archive)
            bundle = await read_aside(lambda: open_version(stored))
            loaded = await asyncio.to_thread(self._load, bundle, archive, is_compiled=not is_alone)
        model = ServedModel(loaded.bundle, self._make_engine(loaded))
        model.engine.start()
        return model

    async def verify(self, stored: StoredVersion) -> None:
        """Have a version tried by another process; raises ModelLoadError."""
        with make_archive() as archive:
            await self._rehearse(stored, archive)

    async def _rehearse(self, stored: StoredVersion, archive: int) -> None:
        await read_aside(lambda: verify_version(stored))  # a wrong checksum is found at once
        await rehearse(stored, archive, self._max_rows, self._threads)

    async def unload(self, model: ServedModel) -> None:
        await asyncio.to_thread(model.engine.close)

    def tidy(self) -> None:
        """Give back what models have left."""
        give_back()

    def _load(self, bundle: Bundle, archive: int, *, is_compiled: bool) -> LoadedModel:
        if not is_compiled:
            compile_version(bundle, archive)
        return load_archive(bundle, archive, self._max_rows)
