"""Loads a version where nothing can be broken: ``python -m lstmserve_server.store.trial``.

A process of its own verifies, compiles and runs the version as the server would, and proves that
its replies are exact. What is wrong with it stands in the last line on standard error, and whether
it can run at all in the exit code; what is right comes in the archive.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from lstmserve_server.children import die_with
from lstmserve_server.errors import ModelLoadError, StartupError
from lstmserve_server.store.repository import StoredVersion

EXIT_REFUSED = 2
WARNING = "warning: "  # begins a line on standard error of what is done without
EXIT_INEXACT = 3  # it runs, and its replies depend on more than their requests
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
        stored = StoredVersion(name, int(version), Path(folder))
        difference = _try(stored, int(archive), int(rows), int(threads))
    except (ModelLoadError, StartupError) as error:
        _end(str(error), EXIT_REFUSED)
    _end(difference, EXIT_INEXACT if difference else 0)


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


def _end(said: str, code: int) -> NoReturn:
    """End without letting go of torch, which takes a second of a core."""
    sys.stderr.write(f"\n{said}\n")  # on a line of its own, whatever the model has printed
    sys.stderr.flush()
    os._exit(code)


def _try(stored: StoredVersion, archive: int, rows: int, threads: int) -> str:
    # importing torch is half of the work: nice by now, and tied to the server
    from lstmserve_server.store import loader

    loader.configure_torch(threads)
    bundle = loader.open_version(stored)
    loader.compile_version(bundle, archive)
    return loader.load_archive(bundle, archive, rows).difference


if __name__ == "__main__":
    main(sys.argv[1:])
