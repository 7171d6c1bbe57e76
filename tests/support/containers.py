"""The compose file's services, each started as a process instead of in a container.

Commands, environments and files are the services' own; of what a container has and a process has
not, its caller says what it is replaced by.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.testbed.process import spawn
from support.compose import Service, mounts, read_compose


class Containers:
    """Started one by one; ended, whatever state they are in, with the block."""

    def __init__(self, folder: Path) -> None:
        """Their logs and what they write will be in the folder."""
        self.folder = folder
        self.services: dict[str, Service] = read_compose()["services"]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for name in self._processes:
            self.kill(name)

    def start(
        self,
        name: str,
        service_name: str,
        places: Mapping[str, str],
        *,
        entrypoint: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        more: Sequence[str] = (),
    ) -> None:
        """Start a service's command.

        ``places`` replace addresses and paths in its command and variables, and so do the sources
        of its mounts; ``entrypoint`` and ``environment`` are its image's; ``more`` arguments come
        last.
        """
        service = self.services[service_name]
        replaced = {**places, **{inside: str(path) for inside, path in mounts(service).items()}}
        command = [*(service.get("entrypoint") or entrypoint), *service["command"]]
        variables = {**(environment or {}), **service.get("environment", {})}
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = spawn(
                [*(_replace(word, replaced) for word in command), *more],
                env=os.environ | {key: _replace(v, replaced) for key, v in variables.items()},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def send_signal(self, name: str, number: signal.Signals) -> None:
        self._processes[name].send_signal(number)

    def wait(self, name: str) -> int:
        """The exit code of one that was told to end."""
        return self._processes[name].wait()

    def kill(self, name: str) -> None:
        self._processes[name].kill()
        self._processes[name].wait()


def _replace(text: str, replaced: Mapping[str, str]) -> str:
    for inside, outside in replaced.items():
        text = text.replace(inside, outside)
    return text
