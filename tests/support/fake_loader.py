"""Versions that are loaded as a test says: well or badly, at once or when it lets them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from lstmserve_server.store.served_model import ServedModel

if TYPE_CHECKING:
    from lstmserve_bundle import Bundle
    from lstmserve_server.engine.client import EngineClient
    from lstmserve_server.store.directives import VersionId
    from lstmserve_server.store.repository import StoredVersion
    from lstmserve_server.store.version_record import VersionState

NO_ENGINE = cast("EngineClient", None)  # nobody generates anything


class FakeLoader:
    """Loads nothing, and remembers that it was asked to."""

    def __init__(self) -> None:
        self.log: list[tuple[str, VersionId]] = []
        self.finished: list[tuple[str, VersionId]] = []  # of it, in the order in which it ended
        self.untried: list[VersionId] = []  # loaded without a trial
        self.errors: dict[VersionId, Exception] = {}
        self.began: asyncio.Queue[VersionId] = asyncio.Queue()
        self._locks: defaultdict[VersionId, asyncio.Event] = defaultdict(_open)

    def hold(self, version: VersionId) -> asyncio.Event:
        """Loading and unloading it takes until the event is set."""
        self._locks[version] = asyncio.Event()
        return self._locks[version]

    @property
    def loads(self) -> list[VersionId]:
        return [version for what, version in self.log if what == "load"]

    @property
    def unloads(self) -> list[VersionId]:
        return [version for what, version in self.log if what == "unload"]

    async def load(self, stored: StoredVersion, *, is_alone: bool) -> ServedModel:
        version = stored.name, stored.version
        self.untried += [version] * is_alone
        await self._do("load", version)
        if version in self.errors:
            raise self.errors[version]
        manifest = SimpleNamespace(name=stored.name, version=stored.version)
        return ServedModel(cast("Bundle", SimpleNamespace(manifest=manifest)), NO_ENGINE)

    async def unload(self, model: ServedModel) -> None:
        await self._do("unload", (model.name, int(model.version)))

    def tidy(self) -> None:
        """There is nothing to give back."""

    async def verify(self, stored: StoredVersion) -> None:
        version = stored.name, stored.version
        await self._do("verify", version)
        if version in self.errors:
            raise self.errors[version]

    async def _do(self, what: str, version: VersionId) -> None:
        self.log.append((what, version))
        self.began.put_nowait(version)
        await self._locks[version].wait()
        self.finished.append((what, version))


class StoreLog:
    """A store's observer that remembers."""

    def __init__(self) -> None:
        self.states: dict[VersionId, list[str]] = defaultdict(list)
        self.reasons: dict[VersionId, str] = {}
        self.loads: list[tuple[VersionId, float, bool]] = []
        self.shares: dict[VersionId, float] = {}
        self.unloaded: list[VersionId] = []

    def on_state(self, version: VersionId, state: VersionState | None, reason: str) -> None:
        name = "gone" if state is None else state.value
        assert self.states[version][-1:] != [name] or self.reasons[version] != reason, "said twice"
        self.states[version].append(name)
        self.reasons[version] = reason

    def on_load(self, version: VersionId, seconds: float, *, is_good: bool) -> None:
        self.loads.append((version, seconds, is_good))

    def on_shares(self, shares: Mapping[VersionId, float]) -> None:
        assert not shares or all(0 <= share <= 1 for share in shares.values())
        self.shares = dict(shares)

    def on_unloaded(self, model: ServedModel) -> None:
        self.unloaded.append((model.name, int(model.version)))


def _open() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
