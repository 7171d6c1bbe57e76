"""Loads a version where nothing can be broken: ``python -m lstmserve_server.store.trial``.

A process of its own verifies, compiles and runs the version as the server would. What is wrong
with it stands in one line on standard error; what is right comes in the archive.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from lstmserve_server.errors import ModelLoadError, StartupError
from lstmserve_server.lifeline import die_with
from lstmserve_server.store.repository import StoredVersion

EXIT_REFUSED = 2
WARNING = "warning: "  # begins a line on standard error of what is done without
NICENESS = 10  # a tenth of what the replies that run get, where they want it all
# when memory ends the kernel kills whoever has the highest score, be the server larger or not:
# proc_pid_oom_score_adj(5). Anybody may raise its own
OOM_SCORE_FILE = Path("/proc/self/oom_score_adj")
MAX_OOM_SCORE = 1000


def main(arguments: list[str]) -> None:
    """Try one version, given as the names below say."""
    parent, archive, rows, threads, name, version, folder = arguments
    for trouble in (die_with(int(parent)), *_step_back()):
        if trouble:
            print(f"{WARNING}{trouble}", file=sys.stderr)  # noqa: T201 - read by the server
    try:
        _try(StoredVersion(name, int(version), Path(folder)), int(archive), int(rows), int(threads))
    except (ModelLoadError, StartupError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - read by the server
        sys.exit(EXIT_REFUSED)


def _step_back() -> Iterator[str]:
    """Let the server's replies go first, and yield what the system does not allow of that."""
    try:
        os.nice(NICENESS)
    except OSError as error:
        yield f"a trial is no nicer than the server: {error.strerror}"
    try:
        OOM_SCORE_FILE.write_text(str(MAX_OOM_SCORE))
    except OSError as error:  # a read-only /proc, or none
        yield (
            "a trial is not the first to be killed where memory ends: "
            f"{error.filename or OOM_SCORE_FILE}: {error.strerror}"
        )


def _try(stored: StoredVersion, archive: int, rows: int, threads: int) -> None:
    # importing torch is half of the work: nice by now, and tied to the server
    from lstmserve_server.store import loader

    loader.configure_torch(threads)
    bundle = loader.open_version(stored)
    loader.compile_version(bundle, archive)
    loader.load_archive(bundle, archive, rows)


if __name__ == "__main__":
    main(sys.argv[1:])
