"""Which model versions lie in the store: ``<folder>/<model>/<version>/manifest.json``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from lstmserve_bundle.manifest import MANIFEST_NAME
from lstmserve_server.errors import StartupError

VERSION = re.compile(r"[1-9][0-9]{0,8}")  # one spelling per number

log = structlog.get_logger()

Fingerprint = tuple[tuple[str, int, int], ...]
"""Name, size and time of change of every file: a copy in progress changes it."""

Stored = Mapping[str, Sequence["StoredVersion"]]
"""Every model's versions, newest first, models by name."""


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version that the store holds, verified by nobody yet."""

    name: str
    version: int
    folder: Path

    def fingerprint(self) -> Fingerprint:
        """What its files look like from outside; raises OSError when they cannot be seen."""
        files = [(path.name, path.stat()) for path in sorted(self.folder.iterdir())]
        return tuple((name, found.st_size, found.st_mtime_ns) for name, found in files)


class ModelRepository:
    """Reads a model store; a file beside the versions, such as a README, is no version."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unreadable: dict[str, str] = {}  # models' folders, and why

    def scan(self) -> dict[str, list[StoredVersion]]:
        """What lies there; raises StartupError when the store cannot be read, or holds nothing."""
        if not self._folder.is_dir():
            raise StartupError(
                f"--model-store: {self._folder} is not a folder; name one that holds "
                f"<model>/<version>/{MANIFEST_NAME}"
            )
        try:
            folders = [*filter(_has_text_name, sorted(self._folder.iterdir()))]
        except OSError as error:
            raise StartupError(f"--model-store: {error.filename}: {error.strerror}") from None
        models = {model.name: versions for model in folders if (versions := self._read(model))}
        if not models:
            raise StartupError(
                f"--model-store: {self._folder} holds no <model>/<version>/{MANIFEST_NAME}"
                + "".join(f"; {name}: {reason}" for name, reason in self._unreadable.items())
            )
        return models

    def _read(self, model: Path) -> list[StoredVersion]:
        """Its versions; none while it cannot be read, which is told once.

        Such as lost+found, which is root's: it must not keep the models beside it from callers.
        """
        try:
            versions = _versions(model)
        except OSError as error:
            reason = error.strerror or str(error)
            if self._unreadable.get(model.name) != reason:
                log.warning("a folder cannot be read", folder=str(model), reason=reason)
            self._unreadable[model.name] = reason
            return []
        self._unreadable.pop(model.name, None)
        return versions


def first_model(folder: Path) -> str:
    """The model of a store that is the default where nobody says which; raises StartupError."""
    return next(iter(ModelRepository(folder).scan()))


def _has_text_name(path: Path) -> bool:
    """Whether its name can be told on the wire and in metrics: Linux allows any bytes."""
    return path.name.isprintable()


def _versions(model: Path) -> list[StoredVersion]:
    if not model.is_dir():
        return []
    versions = [
        StoredVersion(model.name, int(folder.name), folder)
        for folder in model.iterdir()
        if folder.is_dir() and VERSION.fullmatch(folder.name)
    ]
    return sorted(versions, key=lambda version: version.version, reverse=True)
