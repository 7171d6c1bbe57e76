"""What is read aside arrives, or keeps nobody."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from benchmarks.testbed.process import run_program
from lstmserve_server.store.aside import read_aside

# a store that never answers, and a server that is told to end
ENDLESS = """
import asyncio, threading
from lstmserve_server.store.aside import read_aside

async def main():
    began = threading.Event()
    def read():
        began.set()
        threading.Event().wait()
    reading = asyncio.create_task(read_aside(read))
    await asyncio.to_thread(began.wait)
    reading.cancel()
    await asyncio.wait({reading})
    print("cancelled", reading.cancelled())

asyncio.run(main())
"""


async def test_what_was_read_is_returned() -> None:
    assert await read_aside(lambda: "found") == "found"


async def test_what_went_wrong_is_raised() -> None:
    with pytest.raises(FileNotFoundError):
        await read_aside(lambda: open("/nowhere/at/all"))  # noqa: PTH123, SIM115 - it never opens


async def test_an_answer_that_nobody_waits_for_any_more_is_dropped() -> None:
    let_go, ended = threading.Event(), threading.Event()
    reading = asyncio.create_task(read_aside(lambda: (let_go.wait(), ended.set())))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading})
    let_go.set()
    assert await asyncio.to_thread(ended.wait, 60)
    assert reading.cancelled()


def test_a_store_that_never_answers_keeps_no_process_from_ending() -> None:
    ended = run_program(
        [sys.executable, "-c", ENDLESS], capture_output=True, text=True, check=False, timeout=100
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "cancelled True\n", "")
