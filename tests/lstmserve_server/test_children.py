"""A process that is waited for on an event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys

import psutil
import pytest

from lstmserve_server.children import send_signal, wait_for


def start(program: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", program])


@pytest.fixture(params=["pidfd", "none"])
def _descriptors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the kernel's descriptors of processes, and on a system without them."""
    if request.param == "none":

        def refuse(_pid: int) -> int:
            raise OSError("no such call")

        monkeypatch.setattr(os, "pidfd_open", refuse)


@pytest.mark.usefixtures("_descriptors")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_signal_is_told_as_the_exit_code(number: signal.Signals) -> None:
    child = start("import time; time.sleep(60)")

    async def run() -> int:
        waiting = asyncio.create_task(wait_for(child))
        await asyncio.sleep(0)
        assert not waiting.done()
        send_signal(child, number)
        code = await waiting
        send_signal(child, number)  # nobody: it has ended
        return code

    assert asyncio.run(run()) == -number


def zombies_of(process: psutil.Process) -> list[psutil.Process]:
    """Its children whose end nobody has seen; other tests may have some."""
    return [child for child in process.children() if child.status() == psutil.STATUS_ZOMBIE]


@pytest.mark.usefixtures("_descriptors")
def test_one_that_has_ended_before_is_told_at_once_and_no_file_stays_open() -> None:
    me = psutil.Process()
    gc.collect()  # what other tests have left
    before, others = me.num_fds(), set(zombies_of(me))
    for code in range(3):
        child = start(f"raise SystemExit({code})")
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert asyncio.run(wait_for(child)) == code
    assert me.num_fds() == before
    assert set(zombies_of(me)) <= others
