"""The register that is in force, which follows its file while the server runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from lstmserve_server.auth.callers_file import parse_callers, read_file
from lstmserve_server.auth.observer import AuthObserver
from lstmserve_server.auth.register import Register
from lstmserve_server.errors import StartupError

POLL_SECONDS = 1.0

log = structlog.get_logger()


class LiveRegister:
    """Read at once; a file that becomes unusable leaves in force what was read before."""

    def __init__(self, path: Path, observer: AuthObserver) -> None:
        """Raises StartupError when the file cannot be used."""
        self._path = path
        self._observer = observer
        self._data = read_file(path)
        self._trouble = ""
        self.current = Register(parse_callers(self._data, path))

    async def follow(self, poll_seconds: float = POLL_SECONDS) -> None:
        """Look again every so often, until cancelled."""
        while True:
            await asyncio.sleep(poll_seconds)
            await self.look()

    async def look(self) -> None:
        """Take up what stands in the file now.

        The whole file is compared: it is small, and times of change are coarse on some mounts.
        """
        try:
            data = await asyncio.to_thread(read_file, self._path)
            if data != self._data:
                self._take_up(data)
        except StartupError as error:
            self._report(str(error))
        except Exception:  # without the next look nobody could be cut off any more
            self._observer.on_read(is_good=False)
            log.exception("a bug: the callers' file cannot be followed")
        else:
            self._trouble = ""

    def _take_up(self, data: bytes) -> None:
        principals = parse_callers(data, self._path)
        self.current, self._data = Register(principals), data
        self._observer.on_read(is_good=True)
        log.info("the callers' file is read again", principals=len(principals))

    def _report(self, trouble: str) -> None:
        """Count every look, so that an alert lasts as long as the trouble; log the first."""
        self._observer.on_read(is_good=False)
        if trouble != self._trouble:
            log.error("the callers' file cannot be used; the callers before stay", reason=trouble)
        self._trouble = trouble
