"""The certificate in force, which follows its files."""

from __future__ import annotations

import threading
from typing import Protocol

import structlog

from lstmserve_server.config import TlsConfig
from lstmserve_server.errors import StartupError
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

    Contents are compared, not times, so that it does not matter how files are replaced: in
    place, by renaming, or as Kubernetes does it, by a link to a folder that leads elsewhere.
    """

    def __init__(self, config: TlsConfig, observer: CertificateObserver | None = None) -> None:
        """Raises StartupError naming the file that cannot be used. Without an ``observer``
        nobody hears of later failures, not even the log.
        """
        self._config = config
        self._observer = observer
        self._current = examine(config, read_files(config))
        self._problem = ""
        self._num_looks = 0  # that have seen the problem
        self._closing = threading.Event()
        # reading may wait for a network's file system: the event loop does not
        self._thread = threading.Thread(target=self._follow, name="certificates", daemon=True)
        if observer is not None:
            observer.on_certificate(self._current.expires_at)

    @property
    def current(self) -> Material:
        """What new connections get; any thread may ask."""
        return self._current

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()

    def look(self) -> None:
        """Take what is new and whole."""
        try:
            files = read_files(self._config)
            if files != self._current.files:
                self._take(examine(self._config, files))
        except StartupError as error:
            self._note(str(error))
        else:
            self._problem = ""

    def _follow(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            self.look()

    def _take(self, material: Material) -> None:
        self._current = material
        if self._observer is not None:
            log.info("another certificate is in force", names=material.names)
            self._observer.on_certificate(material.expires_at)

    def _note(self, problem: str) -> None:
        self._num_looks = self._num_looks + 1 if problem == self._problem else 1
        self._problem = problem
        if self._num_looks == LOOKS_UNTIL_FAILED and self._observer is not None:
            log.error("the new certificate cannot be used; the old one stays", reason=problem)
            self._observer.on_reload_failure()
