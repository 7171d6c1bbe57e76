"""Looks at the store every so often: also where no system call tells of changes (NFS, mounts)."""

from __future__ import annotations

import asyncio

import structlog

from lstmserve_server.errors import StartupError
from lstmserve_server.following import Trouble
from lstmserve_server.store.manager import ModelManager

log = structlog.get_logger()


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
