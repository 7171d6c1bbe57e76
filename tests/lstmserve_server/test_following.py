"""What is read aside arrives, or keeps nobody; what files hold is taken when it is good."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from benchmarks.testbed.process import run_program
from lstmserve_server.errors import StartupError
from lstmserve_server.following import Followed, Look, read_on_thread, unless_stopped
from support.no_threads import allow_no_thread

# a store that never answers, and a server that is told to end
ENDLESS = """
import asyncio, threading
from lstmserve_server.following import read_on_thread

async def main():
    began = threading.Event()
    def read():
        began.set()
        threading.Event().wait()
    reading = asyncio.create_task(read_on_thread(read))
    await asyncio.to_thread(began.wait)
    reading.cancel()
    await asyncio.wait({reading})
    print("cancelled", reading.cancelled())

asyncio.run(main())
"""


async def test_what_was_read_is_returned() -> None:
    assert await read_on_thread(lambda: "found") == "found"


async def test_what_went_wrong_is_raised() -> None:
    with pytest.raises(FileNotFoundError):
        await read_on_thread(lambda: open("/nowhere/at/all"))  # noqa: PTH123, SIM115 - it never opens


async def test_that_no_thread_can_be_started_is_told_in_words_for_operators(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        allow_no_thread(patched)
        with pytest.raises(StartupError, match="raise its limit of processes"):
            await read_on_thread(lambda: "found")
    assert await read_on_thread(lambda: "found") == "found"


async def test_an_answer_that_nobody_waits_for_any_more_is_dropped() -> None:
    let_go, ended = threading.Event(), threading.Event()
    reading = asyncio.create_task(read_on_thread(lambda: (let_go.wait(), ended.set())))
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


def parse(raw: str) -> int:
    try:
        return int(raw)
    except ValueError:
        raise StartupError(f"{raw}: is not a number") from None


def test_what_is_good_is_taken_and_what_is_not_leaves_the_old_one_in_force() -> None:
    holds = ["1"]
    followed = Followed(lambda: holds[0], parse)
    looks = []
    for holds[0] in ("1", "2", "x", "x", "y", "2", "y", "3"):
        looks.append((followed.look(), followed.current))
    bad, worse = "x: is not a number", "y: is not a number"
    assert looks == [
        (Look(), 1),
        (Look(is_new=True), 2),
        (Look(trouble=bad, is_news=True), 2),
        (Look(trouble=bad), 2),
        (Look(trouble=worse, is_news=True), 2),
        (Look(), 2),
        (Look(trouble=worse, is_news=True), 2),
        (Look(is_new=True), 3),
    ]


def test_without_anything_good_there_is_nothing_to_follow() -> None:
    with pytest.raises(StartupError, match="is not a number"):
        Followed(lambda: "x", parse)


async def test_who_is_told_to_stop_waits_for_nothing_more() -> None:
    stopping, let_go = asyncio.Event(), threading.Event()
    waiting = asyncio.create_task(unless_stopped(stopping, read_on_thread(let_go.wait)))
    await asyncio.sleep(0)
    stopping.set()
    assert await waiting is None
    let_go.set()


async def test_who_is_not_gets_what_comes_of_it() -> None:
    assert await unless_stopped(asyncio.Event(), read_on_thread(lambda: 7)) == 7
    with pytest.raises(StartupError):
        await unless_stopped(asyncio.Event(), read_on_thread(lambda: parse("x")))
