"""What operators may do to the models of a running server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

from lstmserve_server.errors import (
    ModelLoadError,
    ModelNeededError,
    ModelNotFoundError,
    StartupError,
    UnavailableError,
)
from lstmserve_server.store.directives import Directives, VersionId
from lstmserve_server.store.inventory import Inventory
from lstmserve_server.store.manager import ModelManager
from lstmserve_server.store.repository import StoredVersion
from lstmserve_server.store.shares import Weights
from lstmserve_server.store.version_record import VersionRecord

Verify = Callable[[StoredVersion], Awaitable[object]]
OnChange = Callable[[Directives, Directives], None]
"""Told the directives before something was said, and after."""
T = TypeVar("T")

log = structlog.get_logger()


class Administration:
    """Changes directives and has them carried out; used on one event loop.

    What was begun is ended, also when whoever asked for it has left.
    """

    def __init__(
        self,
        manager: ModelManager,
        verify: Verify,
        on_change: OnChange,
    ) -> None:
        """``verify`` raises ModelLoadError; ``on_change`` is told of what was said here."""
        self._manager = manager
        self._verify = verify
        self._on_change = on_change
        self._verifying = asyncio.Lock()  # each takes a process and its memory
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def inventory(self) -> Inventory:
        return self._manager.inventory

    async def close(self) -> None:
        """Stop what still goes on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def load(self, version: VersionId) -> VersionRecord:
        """Serve a version until told otherwise; it answers those who name it.

        Raises ModelNotFoundError or ModelLoadError.
        """
        return await self._see_through(self._load(version))

    async def unload(self, version: VersionId) -> VersionRecord:
        """Serve a version no longer, once what runs on it has ended; others take its place first.

        Raises ModelNotFoundError, or ModelNeededError when none could.
        """
        return await self._see_through(self._unload(version))

    async def verify(self, version: VersionId) -> VersionRecord:
        """Try a version without serving it; raises ModelNotFoundError or ModelLoadError."""
        return await self._see_through(self._try(version))

    def set_default(self, model: str, version: int | None) -> VersionRecord:
        """Let a model answer requests that name none, and this version those that name none.

        Without a version it is the newest that the policy serves. Raises ModelNotFoundError or
        ModelNeededError.
        """
        directives = self.inventory.directives.with_default_model(model)
        weights = {} if version is None else {version: 1}
        return self._share_out(directives, model, weights)

    def set_traffic(self, model: str, weights: Weights) -> VersionRecord:
        """Deal a model's requests without a version out by weight; without weights, to the
        newest that the policy serves. Raises ModelNotFoundError or ModelNeededError.
        """
        return self._share_out(self.inventory.directives, model, weights)

    def apply(self, directives: Directives) -> None:
        """Do what was said to another process of this server."""
        self._manager.direct(directives)
        self._begin(self._settle())

    def _share_out(self, directives: Directives, model: str, weights: Weights) -> VersionRecord:
        """Returns the version that gets the most."""
        for version, weight in weights.items():
            self._check_ready((model, version), is_needed=weight > 0)
        ready = [r for r in self.inventory if r.id[0] == model and r.is_ready]
        if not ready:
            raise ModelNotFoundError(f"no version of model {model!r} is served", model)
        self._say(directives.with_weights(model, weights))
        self._begin(self._settle())
        return max(ready, key=lambda record: self._manager.share(record.id))

    def _check_ready(self, version: VersionId, *, is_needed: bool) -> None:
        record = self._find(version)
        if is_needed and not record.is_ready:
            name, number = version
            raise ModelNeededError(
                f"{name} version {number} is {record.state.value}: it cannot answer yet; load it "
                f"first ({record.reason or 'it is in the store'})"
            )

    async def _load(self, version: VersionId) -> VersionRecord:
        async with self._manager.turn:
            record = await self._look_for(version)
            if not record.is_ready:
                record.try_again()
                await self._manager.load(record)
            if not record.is_ready:
                raise ModelLoadError(record.reason)
            self._say(self.inventory.directives.with_requested(version))
            await self._manager.settle()
        return record

    async def _unload(self, version: VersionId) -> VersionRecord:
        async with self._manager.turn:
            record = self._find(version)
            with self.inventory.doing_without(version):
                await self._manager.settle()
            if record.is_ready:
                raise ModelNeededError(
                    f"{version[0]} version {version[1]} is the only version of the default model "
                    "that can be served; load another one, or set another default model first"
                )
            self._say(self.inventory.directives.with_rejected(version))
        return record

    async def _try(self, version: VersionId) -> VersionRecord:
        async with self._manager.turn:
            record = await self._look_for(version)
        async with self._verifying:
            await self._verify(record.stored)
        return record

    async def _look_for(self, version: VersionId) -> VersionRecord:
        """A version that the store holds now; raises ModelNotFoundError or UnavailableError."""
        try:
            await self._manager.look()
        except StartupError as error:
            raise UnavailableError(str(error)) from None
        record = self._find(version)
        if not record.is_stored:
            raise self._unknown(version)
        return record

    async def _settle(self) -> None:
        async with self._manager.turn:
            await self._manager.settle()

    def _find(self, version: VersionId) -> VersionRecord:
        record = self.inventory.find(version)
        if record is None:
            raise self._unknown(version)
        return record

    def _unknown(self, version: VersionId) -> ModelNotFoundError:
        name, number = version
        reason = self._manager.why_passed_over(version)
        return ModelNotFoundError(
            f"the store holds no version {number} of model {name!r}"
            + (f": {reason}" * bool(reason)),
            f"{name}/{number}",
        )

    def _say(self, directives: Directives) -> None:
        before = self.inventory.directives
        self._manager.direct(directives)
        log.info("models are directed", **directives.describe())
        self._on_change(before, directives)

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _see_through(self, work: Coroutine[Any, Any, T]) -> T:
        task = self._begin(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():  # the server ends, not the call
                raise UnavailableError("this server is shutting down") from None
            raise
