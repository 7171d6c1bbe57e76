"""Which model versions lie in the store: ``<folder>/<model>/<version>/manifest.json``."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lstmserve_bundle.manifest import MANIFEST_NAME
from lstmserve_server.errors import StartupError

VERSION = re.compile(r"[1-9][0-9]{0,8}")  # one spelling per number


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version that the store holds, verified by nobody yet."""

    name: str
    version: int
    folder: Path


class ModelRepository:
    """Reads a model store; a file beside the versions, such as a README, is no version."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def scan(self) -> dict[str, list[StoredVersion]]:
        """Every model's versions, newest first, models by name; raises StartupError."""
        if not self._folder.is_dir():
            raise StartupError(
                f"--model-store: {self._folder} is not a folder; name one that holds "
                f"<model>/<version>/{MANIFEST_NAME}"
            )
        try:
            found = {model.name: _versions(model) for model in sorted(self._folder.iterdir())}
        except OSError as error:
            raise StartupError(f"--model-store: {error.filename}: {error.strerror}") from None
        models = {name: versions for name, versions in found.items() if versions}
        if not models:
            raise StartupError(
                f"--model-store: {self._folder} holds no <model>/<version>/{MANIFEST_NAME}"
            )
        return models

    def choose(self, versions: Collection[tuple[str, int]] = ()) -> dict[str, StoredVersion]:
        """What to serve, models by name: these versions, or the newest of every model.

        Raises StartupError.
        """
        stored = self.scan()
        if not versions:
            return {name: found[0] for name, found in stored.items()}
        return {name: self._find(stored, name, version) for name, version in sorted(versions)}

    def _find(
        self, stored: Mapping[str, Sequence[StoredVersion]], name: str, version: int
    ) -> StoredVersion:
        for found in stored.get(name, ()):
            if found.version == version:
                return found
        raise StartupError(
            f"--model-store: {self._folder} no longer holds {name} version {version}"
        )


def _versions(model: Path) -> list[StoredVersion]:
    if not model.is_dir():
        return []
    versions = [
        StoredVersion(model.name, int(folder.name), folder)
        for folder in model.iterdir()
        if folder.is_dir() and VERSION.fullmatch(folder.name)
    ]
    return sorted(versions, key=lambda version: version.version, reverse=True)
