"""Which model versions lie in the store, and what lies there that is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from lstmserve_bundle.manifest import MANIFEST_NAME
from lstmserve_bundle.store import StoreContents, look_into
from lstmserve_server.errors import StartupError

# the recipe brings its text along, and publishes into ./model_store, where servers look by default
ADVICE = "A model in a minute: lstmserve-train recipes cp demo . && lstmserve-train run demo.toml"
MAX_TOLD = 20  # of what is passed over; a wrong folder may hold any number

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


def read_store(folder: Path) -> tuple[Stored, Mapping[str, str]]:
    """All versions; and what cannot be served though it may be meant to be, with the reason.

    Raises StartupError when the store cannot be read, or holds no version.
    """
    if not folder.is_dir():
        raise StartupError(
            f"--model-store: {folder} is not a folder; name one that holds "
            f"<model>/<version>/{MANIFEST_NAME}. {ADVICE}"
        )
    try:
        found = look_into(folder)
    except OSError as error:
        raise StartupError(f"--model-store: {error.filename}: {error.strerror}") from None
    if not found.versions:
        raise StartupError(
            f"--model-store: {folder} holds no <model>/<version>/{MANIFEST_NAME}"
            + "".join(f"; {path}: {reason}" for path, reason in _first(found.passed_over).items())
            + f". {ADVICE}"
        )
    return _stored(folder, found), found.passed_over


class ModelRepository:
    """Reads a model store again and again, and logs once what it passes over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.passed_over: Mapping[str, str] = {}  # at the last look
        self._told: dict[str, str] | None = None  # None: nobody has looked yet

    def scan(self) -> Stored:
        """What lies there; raises StartupError when the store cannot be read, or holds nothing."""
        stored, passed_over = read_store(self.folder)
        self._tell(passed_over)
        self.passed_over = passed_over
        return stored

    def _tell(self, passed_over: Mapping[str, str]) -> None:
        """Log what was so at the last look too: a version that is just being copied is not news."""
        lasting = dict(passed_over.items() & self.passed_over.items())
        if self._told is None:
            lasting, self._told = dict(passed_over), {}
        known = {path: why for path, why in self._told.items() if passed_over.get(path) == why}
        if news := {path: why for path, why in lasting.items() if path not in known}:
            log.warning(
                "folders of the model store are passed over",
                store=str(self.folder),
                number=len(news),
                folders=_first(news),
            )
        self._told = known | lasting


def _first(passed_over: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(passed_over.items())[:MAX_TOLD])


def _stored(folder: Path, found: StoreContents) -> dict[str, list[StoredVersion]]:
    return {
        name: [StoredVersion(name, number, folder / name / str(number)) for number in numbers]
        for name, numbers in found.versions.items()
    }
