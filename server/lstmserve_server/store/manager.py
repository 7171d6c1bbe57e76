"""Keeps what is served in step with the store, the policy and what operators say.

A new version is loaded beside the old one, who answers is switched between two requests, and
the old one ends when the last reply that began on it has ended. A version that cannot be
served changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from lstmserve_server.errors import ModelLoadError, ModelTrialError, StartupError
from lstmserve_server.following import read_on_thread
from lstmserve_server.store.catalog import ModelCatalog
from lstmserve_server.store.default_model import DefaultModel, StoreDefault
from lstmserve_server.store.directives import Directives, VersionId
from lstmserve_server.store.inventory import Inventory
from lstmserve_server.store.repository import Fingerprint, ModelRepository, StoredVersion
from lstmserve_server.store.served_model import ServedModel
from lstmserve_server.store.version_record import StoreObserver, VersionRecord, VersionState

RETRY_SECONDS = 60.0  # after a failure that need not be the version's
Clock = Callable[[], float]


class Loader(Protocol):
    """Makes versions answer."""

    async def load(self, stored: StoredVersion, *, is_alone: bool) -> ServedModel:
        """A version that runs; raises ModelLoadError.

        If it is alone nothing has to go first: there is nothing else to serve.
        """

    async def unload(self, model: ServedModel) -> None:
        """End what nobody uses any more."""


class ModelManager:
    """Loads and unloads; used on one event loop. One change is made at a time."""

    def __init__(
        self,
        repository: ModelRepository,
        inventory: Inventory,
        loader: Loader,
        catalog: ModelCatalog,
        observer: StoreObserver,
        clock: Clock = time.monotonic,
    ) -> None:
        self._repository = repository
        self._default = StoreDefault(repository.folder)
        self._loader = loader
        self._catalog = catalog
        self._observer = observer
        self._clock = clock
        self.turn = asyncio.Lock()
        self._endings: dict[VersionId, asyncio.Task[None]] = {}
        self._told: dict[VersionId, tuple[VersionState, str]] = {}
        self.inventory = inventory

    async def start(self) -> None:
        """Load what is to be served; raises StartupError when that is not enough to start."""
        async with self.turn:
            await self.look(is_first=True)
            self._check_default_model()
            await self.settle()
        default = self.inventory.default_model
        if not (self._catalog.serves(default) if default else [*self._catalog]):
            raise StartupError(self._why_not(default))

    async def follow(self) -> None:
        """Look at the store and do what follows; raises StartupError when it cannot be read."""
        async with self.turn:
            await self.look()
            await self.settle()

    async def close(self) -> None:
        """End all engines; nothing is answered any more."""
        for task in self._endings.values():
            task.cancel()
        await asyncio.gather(*self._endings.values(), return_exceptions=True)
        for record in self.inventory:
            if record.served is not None:
                await self._loader.unload(record.served)
                record.served = None

    def direct(self, directives: Directives) -> None:
        """Let requests go where they are to go, as far as what is ready allows: at once."""
        self.inventory.directives = directives
        self._publish()

    def share(self, version: VersionId) -> float:
        """The part of its model's requests without a version that a version gets, 0 to 1."""
        return self.inventory.roster().share(version)

    def why_passed_over(self, version: VersionId) -> str:
        """Why what lies in a version's place is none; empty when nothing lies there."""
        name, number = version
        return self._repository.passed_over.get(f"{name}/{number}", "")

    # --- one change at a time: call while holding the turn --------------------------------------

    async def look(self, *, is_first: bool = False) -> None:
        found, default = await read_on_thread(self._scan)
        self._forget(self.inventory.look(found, is_first=is_first))
        self._settle_default(default, is_first=is_first)
        for record in self.inventory:
            self._tell(record)

    def _scan(self) -> tuple[list[tuple[StoredVersion, Fingerprint]], DefaultModel]:
        stored = self._repository.scan()
        versions = [each for versions in stored.values() for each in versions]
        default = self._default.find(stored, self.inventory.stored_default)
        return [(each, _fingerprint(each)) for each in versions], default

    def _settle_default(self, found: DefaultModel, *, is_first: bool) -> None:
        """Take over what the store says, once that model can answer; raises StartupError."""
        chosen = self.inventory.directives.default_model
        self._default.tell(found, self.inventory.models, chosen)
        if is_first and found.trouble and not self.inventory.default_model:
            raise StartupError(f"{found.trouble}; correct it, or start with --default-model")
        if is_first or self.inventory.answers(found.model):
            self.inventory.stored_default = found.model

    async def settle(self) -> None:
        while (record := self.inventory.next_to_load(self._clock())) is not None:
            await self.load(record)
        for record in self.inventory.surplus(self._clock()):
            self._end(record)
        self._publish()

    async def load(self, record: VersionRecord) -> None:
        """Let a version answer, whoever wants it; what came of it is its state."""
        if record.id in self._endings and await self._revive(record):
            return
        self._enter(record, VersionState.LOADING)
        self._publish()
        began_at = self._clock()
        record.tried = record.fingerprint
        try:
            record.served = await self._loader.load(
                record.stored, is_alone=self.inventory.is_alone(record.id)
            )
        except ModelLoadError as error:
            self._fail(record, str(error), is_passing=isinstance(error, ModelTrialError))
        except Exception as error:
            self._fail(record, f"a bug: {error!r}", is_passing=True)
            raise
        else:
            self._enter(record, VersionState.READY, record.why_marked)
        self._observer.on_load(record.id, self._clock() - began_at, is_good=record.is_ready)
        self._publish()

    def _fail(self, record: VersionRecord, reason: str, *, is_passing: bool) -> None:
        record.retry_at = self._clock() + RETRY_SECONDS if is_passing else 0.0
        self._enter(record, VersionState.FAILED, reason)

    def _end(self, record: VersionRecord) -> None:
        """Take nothing new on a version, and unload it when what runs has ended."""
        self._enter(record, VersionState.UNLOADING)
        self._publish()
        task = asyncio.create_task(self._unload(record))
        self._endings[record.id] = task
        task.add_done_callback(lambda _: self._endings.pop(record.id, None))

    async def _unload(self, record: VersionRecord) -> None:
        model = record.served
        if model is None:
            return
        model.gate.close()
        await model.gate.wait_until_empty()
        record.served = None
        try:
            # it has begun, and who wants the version again must not leave half of it there
            await asyncio.shield(self._loader.unload(model))
        finally:
            self._enter(record, VersionState.UNLOADED)
            self._observer.on_unloaded(model)
            self._forget(self.inventory.forget_gone())

    async def _revive(self, record: VersionRecord) -> bool:
        """Let a version go on that was about to be unloaded; False when it is too late."""
        task = self._endings[record.id]
        task.cancel()
        await asyncio.wait({task})
        if record.served is None:
            return False
        record.served.gate.open()
        self._enter(record, VersionState.READY, record.why_marked)
        self._publish()
        return True

    def _enter(self, record: VersionRecord, state: VersionState, reason: str = "") -> None:
        record.state, record.reason = state, reason
        self._tell(record)

    def _tell(self, record: VersionRecord) -> None:
        news = record.state, record.reason
        if self._told.get(record.id) != news:
            self._told[record.id] = news
            self._observer.on_state(record.id, *news)

    def _forget(self, versions: Iterable[VersionId]) -> None:
        for version in versions:
            self._told.pop(version, None)
            self._observer.on_state(version, None, "")

    def _publish(self) -> None:
        roster = self.inventory.roster()
        self._catalog.switch(roster)
        self._observer.on_shares({version: roster.share(version) for version in roster.models})

    # --- at the start ------------------------------------------------------------------------

    def _check_default_model(self) -> None:
        name = self.inventory.default_model
        if name and name not in self.inventory.models:
            raise StartupError(
                f"--default-model: the store has no model {name!r}, only: "
                f"{', '.join(self.inventory.models)}"
            )

    def _why_not(self, default: str) -> str:
        """Why nothing answers of the default model; without one, of any."""
        records = [record for record in self.inventory if default in {"", record.id[0]}]
        for record in records:
            if record.reason:
                return record.reason
        held = ", ".join(f"{name} {number}" for name, number in (record.id for record in records))
        which = f"the default model {default!r}" if default else "any model"
        return f"--version-policy: serves no version of {which}; the store holds {held}"


def _fingerprint(stored: StoredVersion) -> Fingerprint:
    try:
        return stored.fingerprint()
    except OSError:  # it is just being moved or deleted
        return ()
