"""A model store as a running server has it, over files that hold nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from lstmserve_bundle.manifest import MANIFEST_NAME
from lstmserve_bundle.store import write_default
from lstmserve_server.store.administration import Administration
from lstmserve_server.store.catalog import ModelCatalog
from lstmserve_server.store.directives import Directives, VersionId
from lstmserve_server.store.inventory import Inventory
from lstmserve_server.store.manager import ModelManager
from lstmserve_server.store.repository import ModelRepository
from lstmserve_server.store.version_policy import parse_policy
from lstmserve_server.store.version_record import VersionRecord
from support.fake_loader import FakeLoader, StoreLog

WAIT_SECONDS = 60.0
NOTHING_SAID = Directives()


class StoreBench:
    """The store's parts, and a way to change its files."""

    def __init__(
        self, parent: Path, policy: str = "latest", directives: Directives = NOTHING_SAID
    ) -> None:
        self.folder = parent / "store"
        self._away = parent / "away"
        self.now = 1000.0
        self.loader, self.log, self.catalog = FakeLoader(), StoreLog(), ModelCatalog()
        self.said: list[Directives] = []  # to other processes
        self.inventory = Inventory(parse_policy(policy), directives)
        self.manager = ModelManager(
            ModelRepository(self.folder),
            self.inventory,
            self.loader,
            self.catalog,
            self.log,
            clock=lambda: self.now,
        )
        self.administration = Administration(
            self.manager, self.loader.verify, lambda _, directives: self.said.append(directives)
        )
        self._ticks = 0

    def put(self, *versions: VersionId) -> None:
        """Write these versions, or write them anew; a new store of several models names a default.

        It is the model of the first.
        """
        is_new = not self.folder.exists()
        for name, number in versions:
            version = self.folder / name / str(number)
            version.mkdir(parents=True, exist_ok=True)
            self._ticks += 1
            for file in (version / "model.pt", version / MANIFEST_NAME):
                file.write_text("of nothing")
                os.utime(file, ns=(self._ticks, self._ticks))
        if is_new and len({name for name, _ in versions}) > 1:
            write_default(self.folder, versions[0][0])

    def delete(self, version: VersionId) -> None:
        shutil.rmtree(self.folder / version[0] / str(version[1]))

    def unmount(self) -> None:
        """Let the store be gone, all of it."""
        self.folder.rename(self._away)

    def mount(self) -> None:
        self._away.rename(self.folder)

    async def start(self, *versions: VersionId) -> None:
        """Serve a store that holds these."""
        self.put(*versions)
        await self.manager.start()
        self.drain_began()

    async def follow(self, looks: int = 2) -> None:
        """Look at the store so often; what is new settles with the second look."""
        for _ in range(looks):
            await self.manager.follow()

    async def until_begun(self, version: VersionId) -> None:
        """Until the loader has been asked for something about this version."""
        async with asyncio.timeout(WAIT_SECONDS):
            while await self.loader.began.get() != version:
                pass

    async def until_ended(self) -> None:
        """Until all that is being unloaded has been."""
        async with asyncio.timeout(WAIT_SECONDS):
            while self.manager._endings:
                await asyncio.wait(self.manager._endings.values())

    def drain_began(self) -> None:
        while not self.loader.began.empty():
            self.loader.began.get_nowait()

    def record(self, version: VersionId) -> VersionRecord:
        found = self.inventory.find(version)
        assert found is not None
        return found

    @property
    def states(self) -> dict[VersionId, str]:
        return {record.id: record.state.value for record in self.inventory}

    @property
    def answering(self) -> dict[VersionId, float]:
        """The versions that answer, and their shares; as callers and as metrics see it."""
        models = {(each.name, int(each.version)): each for each in self.catalog}
        shares = {version: self.catalog.share(model) for version, model in models.items()}
        assert shares == self.log.shares
        return shares

    def ask(self, name: str = "", version: str = "", key: str = "") -> VersionId:
        """Who answers such a request."""
        model = self.catalog.resolve(name, version, key)
        return model.name, int(model.version)
