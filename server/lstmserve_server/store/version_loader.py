"""Makes versions of the store answer, and ends them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from lstmserve_bundle import Bundle
from lstmserve_server.engine.async_engine import AsyncEngine
from lstmserve_server.errors import ModelLoadError
from lstmserve_server.following import read_on_thread
from lstmserve_server.store.loader import (
    LoadedModel,
    compile_version,
    load_archive,
    open_version,
    verify_version,
)
from lstmserve_server.store.memory import give_back, make_archive
from lstmserve_server.store.rehearsal import rehearse
from lstmserve_server.store.repository import StoredVersion
from lstmserve_server.store.served_model import ServedModel

log = structlog.get_logger()

REMEDY = (
    "a module of torch's quantize_dynamic does this: publish the model with lstmserve-train, or "
    "serve it one reply at a time with --allow-inexact"
)


class VersionLoader:
    """Loads in a thread, so that the event loop goes on.

    Every version is proved to be exact: by its trial, or, where it is alone, as it is loaded.
    """

    def __init__(
        self,
        max_rows: int,
        threads: int,
        make_engine: Callable[[LoadedModel], AsyncEngine],
        *,
        allow_inexact: bool = False,
    ) -> None:
        """``allow_inexact``: a version whose replies are not exact is loaded all the same."""
        self._allow_inexact = allow_inexact
        self._max_rows = max_rows
        self._threads = threads
        self._make_engine = make_engine

    async def load(self, stored: StoredVersion, *, is_alone: bool) -> ServedModel:
        """A version that runs; raises ModelLoadError.

        One that is not alone in the store is tried first where it can do no harm.
        """
        with make_archive() as archive:
            difference = None if is_alone else await self._rehearse(stored, archive)
            bundle = await read_on_thread(lambda: open_version(stored))
            loaded = await asyncio.to_thread(self._load, stored, bundle, archive, difference)
        model = ServedModel(loaded.bundle, self._make_engine(loaded), difference=loaded.difference)
        model.engine.start()
        if model.is_exact:
            published = "the same" if loaded.bundle.fingerprint else "none was published"
            log.debug(
                "replies are exact", model=model.name, version=model.version, fingerprint=published
            )
        return model

    async def verify(self, stored: StoredVersion) -> None:
        """Have a version tried by another process; raises ModelLoadError.

        Good is only what is exact, whatever may be served.
        """
        with make_archive() as archive:
            _require_exact(stored, await self._rehearse(stored, archive))

    async def _rehearse(self, stored: StoredVersion, archive: int) -> str:
        await read_on_thread(lambda: verify_version(stored))  # a wrong checksum is found at once
        difference = await rehearse(stored, archive, self._max_rows, self._threads)
        if not self._allow_inexact:
            _require_exact(stored, difference)
        return difference

    async def unload(self, model: ServedModel) -> None:
        await asyncio.to_thread(model.engine.close)

    def tidy(self) -> None:
        """Give back what models have left."""
        give_back()

    def _load(
        self, stored: StoredVersion, bundle: Bundle, archive: int, difference: str | None
    ) -> LoadedModel:
        """``difference``: what a trial, which has compiled it too, has found; None: it had none."""
        if difference is None:
            compile_version(bundle, archive)
        loaded = load_archive(bundle, archive, self._max_rows, difference)
        if not self._allow_inexact:
            _require_exact(stored, loaded.difference)
        return loaded


def _require_exact(stored: StoredVersion, difference: str) -> None:
    if difference:
        raise ModelLoadError(f"{stored.folder}: not exact: {difference}; {REMEDY}")
