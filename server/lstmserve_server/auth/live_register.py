"""The register that is in force, which follows its file while the server runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from lstmserve_server.auth.callers_file import parse_callers, read_file
from lstmserve_server.auth.principal import AuthObserver, Register
from lstmserve_server.errors import NoThreadError
from lstmserve_server.following import Followed, Look, read_on_thread

POLL_SECONDS = 1.0

log = structlog.get_logger()


class LiveRegister:
    """Read at once; a file that becomes unusable leaves in force what was read before."""

    def __init__(self, path: Path, observer: AuthObserver) -> None:
        """Raises StartupError when the file cannot be used."""
        self._observer = observer
        self._file = Followed(
            lambda: read_file(path), lambda data: Register(parse_callers(data, path))
        )

    @property
    def current(self) -> Register:
        """Who may call now."""
        return self._file.current

    async def follow(self, poll_seconds: float = POLL_SECONDS) -> None:
        """Look again every so often, until cancelled."""
        while True:
            await asyncio.sleep(poll_seconds)
            await self.look()

    async def look(self) -> None:
        """Take up what stands in the file now; the file system may take its time."""
        try:
            seen = await self._look()
        except Exception:  # without the next look nobody could be cut off any more
            self._observer.on_read(is_good=False)
            log.exception("a bug: the callers' file cannot be followed")
            return
        if seen.is_new:
            self._observer.on_read(is_good=True)
            log.info("the callers' file is read again", principals=self.current.num_principals)
        elif seen.trouble:  # every look counts, so that an alert lasts as long as the trouble
            self._observer.on_read(is_good=False)
            if seen.is_news:
                reason = seen.trouble
                log.error(
                    "the callers' file cannot be used; the callers before stay", reason=reason
                )

    async def _look(self) -> Look:
        try:
            return await read_on_thread(self._file.look)
        except NoThreadError as error:
            return self._file.miss(error)
