"""A model store whose newest version is followed by copies of itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

MANIFEST = "manifest.json"


class GrowingStore:
    """Versions 1, 2, 3 and on, all with the weights of one: their replies must be the same."""

    def __init__(self, source: Path, folder: Path) -> None:
        """``source`` is the folder of a version, ``folder`` that of the new store."""
        self._source = source
        self._number = 0
        self.folder = folder
        self.model: str = json.loads((source / MANIFEST).read_text("utf-8"))["name"]
        self.publish()

    def publish(self) -> int:
        """Add a version as docs/operations.md says: copied under another name, then renamed."""
        self._number += 1
        place = self.folder / self.model / str(self._number)
        part = shutil.copytree(self._source, place.with_suffix(".part"))
        manifest = json.loads((part / MANIFEST).read_text("utf-8"))
        manifest["version"] = self._number
        (part / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        part.rename(place)
        return self._number

    def delete(self, number: int) -> None:
        """Remove a version that is served no longer."""
        shutil.rmtree(self.folder / self.model / str(number))
