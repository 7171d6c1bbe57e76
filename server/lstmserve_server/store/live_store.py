"""A model store as a running server has it, put together."""

from __future__ import annotations

import asyncio

import structlog

from lstmserve_server.config import StoreConfig
from lstmserve_server.errors import StartupError
from lstmserve_server.failures import Trouble
from lstmserve_server.store.administration import Administration, OnChange
from lstmserve_server.store.catalog import ModelCatalog
from lstmserve_server.store.directives import Directives
from lstmserve_server.store.inventory import Inventory
from lstmserve_server.store.manager import ModelManager
from lstmserve_server.store.repository import ModelRepository
from lstmserve_server.store.shares import parse_traffic
from lstmserve_server.store.version_loader import VersionLoader
from lstmserve_server.store.version_policy import parse_policy
from lstmserve_server.store.version_record import StoreObserver

log = structlog.get_logger()


class LiveStore:
    """Serves what lies in a store, and follows it."""

    def __init__(
        self,
        config: StoreConfig,
        loader: VersionLoader,
        observer: StoreObserver,
        on_change: OnChange,
        directives: Directives | None = None,
    ) -> None:
        """``on_change`` is told what an operator said to this process, and ``directives`` are
        what was said to others before it.
        """
        self._config = config
        self.catalog = ModelCatalog()
        configured = Directives(
            default_model=config.default_model, weights=parse_traffic(config.traffic)
        )
        inventory = Inventory(parse_policy(config.version_policy), directives or configured)
        inventory.stored_default = config.stored_default
        repository = ModelRepository(config.folder)
        self._manager = ModelManager(repository, inventory, loader, self.catalog, observer)
        self.administration = Administration(self._manager, loader.verify, on_change)
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load what is to be served; raises StartupError when that is not enough to start."""
        await self._manager.start()
        self._warn_of_unknown_names()
        if self._config.poll_seconds:
            watcher = StoreWatcher(self._manager, self._config.poll_seconds)
            self._watching = asyncio.create_task(watcher.run())

    def _warn_of_unknown_names(self) -> None:
        """Names that stand for nothing are no error: the model may come later."""
        known = set(self.administration.inventory.models)
        for option, names in (
            ("--version-policy", parse_policy(self._config.version_policy).named),
            ("--traffic", parse_traffic(self._config.traffic)),
        ):
            for name in sorted(set(names) - known):
                log.warning("the store has no such model", option=option, model=name)

    async def stop(self) -> None:
        """Load and unload nothing more; what is served is served on."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        await self.administration.close()

    async def close(self) -> None:
        """End all engines."""
        await self.stop()
        await self._manager.close()


class StoreWatcher:
    """Follows a store until it is cancelled."""

    def __init__(self, manager: ModelManager, poll_seconds: float) -> None:
        self._manager = manager
        self._poll_seconds = poll_seconds
        self._trouble = Trouble()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            await self._look()

    async def _look(self) -> None:
        try:
            await self._manager.follow()
        except StartupError as error:  # unmounted, say: what is served is served on
            self._report(str(error))
        except Exception:  # the next look may go better, and what is served is served on
            log.exception("a bug: the model store cannot be followed")
        else:
            if self._trouble.ended():
                log.info("the model store can be read again")

    def _report(self, trouble: str) -> None:
        if self._trouble.found(trouble):
            log.error("the model store cannot be read", reason=trouble)
