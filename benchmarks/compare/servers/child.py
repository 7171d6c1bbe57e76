"""A framework's own server as a child: wait until it is ready, end it when told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

START_SECONDS = 120
POLL_SECONDS = 0.2


def run_until_told(
    command: Sequence[str],
    environment: Mapping[str, str],
    is_ready: Callable[[], bool],
    target: str,
) -> None:
    """Start it, print the ready line once it is, pass SIGTERM on to all its processes.

    TorchServe's launcher would leave its Java process behind.
    """
    with subprocess.Popen(  # noqa: S603 - the program is that of its environment
        command, env=environment, stdout=sys.stderr, start_new_session=True
    ) as process:

        def stop(_number: int, _frame: FrameType | None) -> None:
            os.killpg(process.pid, signal.SIGTERM)

        signal.signal(signal.SIGTERM, stop)
        give_up = time.monotonic() + START_SECONDS
        while not is_ready():
            if process.poll() is not None:
                sys.exit(f"{command[0]} ended with exit code {process.poll()}")
            if time.monotonic() > give_up:
                os.killpg(process.pid, signal.SIGKILL)
                sys.exit(f"{command[0]} was not ready after {START_SECONDS} seconds")
            time.sleep(POLL_SECONDS)
        print(f"ready {target}", flush=True)
