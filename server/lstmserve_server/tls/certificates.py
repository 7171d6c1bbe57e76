"""The certificate in force, which follows its files."""

from __future__ import annotations

import threading
from typing import Protocol

import structlog

from lstmserve_server.config import TlsConfig
from lstmserve_server.following import Followed, Look
from lstmserve_server.threads import start_thread
from lstmserve_server.tls.material import Material, examine, read_files

LOOK_SECONDS = 1.0
# one look may fall into the middle of a copy, or between the two files' renaming
LOOKS_UNTIL_FAILED = 2

log = structlog.get_logger()


class CertificateObserver(Protocol):
    """Is told which certificate is in force."""

    def on_certificate(self, expires_at: float) -> None:
        """Another one is in force, until so many seconds since 1970."""

    def on_reload_failure(self) -> None:
        """New files cannot be used; the certificate in force stays."""


class Certificates:
    """Reads the files at once, and looks for new contents from ``start`` to ``close``.

    It does not matter how they are replaced: in place, by renaming, or as Kubernetes does it, by
    a link to a folder that leads elsewhere.
    """

    def __init__(self, config: TlsConfig, observer: CertificateObserver | None = None) -> None:
        """Raises StartupError naming the file that cannot be used. Without an ``observer``
        nobody hears of later failures, not even the log.
        """
        self._observer = observer
        self._files = Followed(
            lambda: read_files(config), lambda files: examine(config, files), LOOKS_UNTIL_FAILED
        )
        self._closing = threading.Event()
        # reading may wait for a network's file system: the event loop does not
        self._thread = threading.Thread(target=self._follow, name="certificates", daemon=True)
        if observer is not None:
            observer.on_certificate(self.current.expires_at)

    @property
    def current(self) -> Material:
        """What new connections get; any thread may ask."""
        return self._files.current

    def start(self) -> None:
        start_thread(self._thread)

    def close(self) -> None:
        self._closing.set()

    def look(self) -> None:
        """Take what is new and whole."""
        seen = self._files.look()
        if self._observer is not None:
            self._tell(seen, self._observer)

    def _follow(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            self.look()

    def _tell(self, seen: Look, observer: CertificateObserver) -> None:
        if seen.is_new:
            log.info("another certificate is in force", names=self.current.names)
            observer.on_certificate(self.current.expires_at)
        elif seen.is_news:
            reason = seen.trouble
            log.error("the new certificate cannot be used; the old one stays", reason=reason)
            observer.on_reload_failure()
