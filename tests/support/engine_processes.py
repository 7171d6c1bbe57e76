"""The processes in which a server's engines run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.testbed.server import ServerProcess

PAGE = "memfd:lstmserve-page"  # which the server itself has mapped, and closed


def engines_of(server: ServerProcess) -> list[psutil.Process]:
    """All that run, its workers' too."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    return [child for child in children if _has_page(child)]


def own_engines() -> list[psutil.Process]:
    """Those that this process has started itself, and that run."""
    return [child for child in psutil.Process().children() if _has_page(child)]


def has_ended(process: psutil.Process) -> bool:
    """Whether it runs no more, be it that nobody has asked how it ended."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _has_page(process: psutil.Process) -> bool:
    names = []
    with suppress(OSError):  # it has ended meanwhile
        for link in Path(f"/proc/{process.pid}/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                names.append(str(link.readlink()))
    return any(PAGE in name for name in names)
