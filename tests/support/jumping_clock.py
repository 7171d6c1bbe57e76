"""A wall clock that jumps for the processes that are started meanwhile; theirs alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import libfaketime

LIBRARY = next(Path(libfaketime.__file__).parent.rglob("libfaketime.so.1"))


class JumpingClock:
    """Steers the wall clock of processes; their monotonic clocks go on as ever."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "offset"
        self.jump(0)

    def jump(self, seconds: int) -> None:
        """Let the wall clock be so many seconds off, a second from now at most."""
        aside = self._path.with_suffix(".new")  # it may be read at any moment
        aside.write_text(f"{seconds:+d}\n")
        aside.replace(self._path)

    @contextmanager
    def on_start(self) -> Iterator[None]:
        """Processes that are started within the block have this clock."""
        variables = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_CACHE_DURATION": "1",  # seconds: to read the file at every look would be slow
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        with patch.dict(os.environ, variables):
            yield
