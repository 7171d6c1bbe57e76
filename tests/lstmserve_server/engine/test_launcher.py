"""The process of an engine is a real one, which is all that a bad version can harm."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from benchmarks.testbed.process import spawn
from benchmarks.testbed.waiting import until, until_so
from lstmserve_server.config import EngineConfig
from lstmserve_server.engine import launcher
from lstmserve_server.engine.archive import make_archive
from lstmserve_server.engine.launcher import EngineProcess, Launcher
from lstmserve_server.engine.messages import Loaded, Order, Submit, Turn
from lstmserve_server.engine.request import NO_CLAIM, GenerationRequest, SamplingParams
from lstmserve_server.errors import ModelLoadError, ModelTrialError
from support.engine_processes import own_engines
from support.misdeeds import misbehave
from support.stores import copy_version, flip_byte

pytestmark = pytest.mark.usefixtures("forked_engines")

CONFIG = EngineConfig(max_running=2)
FLOOD_BYTES = 64 << 20
END_SECONDS = 60
REQUEST = GenerationRequest((1, 2, 3), SamplingParams(temperature=0.0), max_tokens=9, min_tokens=9)
# what a server does that loads a version which never ends
SERVER = """
import asyncio, sys
from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.launcher import Launcher
from lstmserve_server.engine.messages import Order
order = Order("tiny", 1, sys.argv[1], EngineConfig(max_running=2), 1, False)
async def main():
    await Launcher(order).launch()
asyncio.run(main())
"""
# an engine's process where neither the kernel's calls nor /proc allow anything
BARRED = """
import ctypes, os, pathlib, sys
from lstmserve_server import children
from lstmserve_server.engine.process import main
class Refusing:
    def prctl(self, *_):
        ctypes.set_errno(1)
        return -1
def refuse(_):
    raise PermissionError(1, "Operation not permitted")
children.ctypes.CDLL = lambda *_, **__: Refusing()
os.nice = refuse
main.OOM_SCORE_FILE = pathlib.Path(sys.argv[1])
main._load_model = lambda *_: FAKE
from types import SimpleNamespace
runner = SimpleNamespace(state_bytes=1, row_bytes=1)
FAKE = SimpleNamespace(facts=SimpleNamespace(digest=""), runner=runner, difference="")
main._serve = lambda *_: None
main.main(sys.argv[2:])
"""


OTHERS = list[psutil.Process]()  # engines of other tests, which share them


@pytest.fixture(autouse=True)
def _others() -> None:
    OTHERS[:] = own_engines()


def new_engines() -> list[psutil.Process]:
    return [engine for engine in own_engines() if engine not in OTHERS]


def order_for(folder: Path, *, is_beside_others: bool = False) -> Order:
    return Order("tiny", 1, str(folder), CONFIG, 1, is_beside_others)


@pytest.fixture
def version(tiny_store: Path, tmp_path: Path) -> Path:
    """The folder of a good version, to be spoiled."""
    return copy_version(tiny_store / "tiny" / "1", tmp_path)


@asynccontextmanager
async def launched(order: Order) -> AsyncIterator[tuple[Launcher, EngineProcess, Loaded]]:
    made = Launcher(order)
    try:
        process, loaded = await made.launch()
        yield made, process, loaded
        await process.end()
    finally:
        made.close()


async def refuse(order: Order) -> ModelLoadError:
    """Why the version is not loaded; in one line that names its folder."""
    with pytest.raises(ModelLoadError) as caught:
        async with launched(order):
            pass
    assert len(str(caught.value).splitlines()) == 1
    assert order.folder in str(caught.value)
    return caught.value


async def make_reply(process: EngineProcess) -> list[int]:
    """The tokens of a short reply."""
    turns: asyncio.Queue[Turn] = asyncio.Queue()
    process.on_turn = turns.put_nowait
    process.send([Submit(7, REQUEST, NO_CLAIM, 0.0)])
    tokens: list[int] = []
    while len(tokens) < REQUEST.max_tokens:
        for row in (await turns.get()).rows:
            assert row.reply_id == 7
            tokens += row.token_ids
    return tokens


def read_oom_score(process: psutil.Process) -> str:
    return Path(f"/proc/{process.pid}/oom_score_adj").read_text()


async def test_a_second_process_is_the_same_whatever_has_become_of_the_files(version: Path) -> None:
    async with launched(order_for(version)) as (made, first, loaded):
        assert loaded.difference == ""
        with pytest.raises(PermissionError):  # nor can one engine change what another one loads
            os.pwrite(made._archive, b"other", 0)
        expected = await make_reply(first)
        misbehave(version, "crash")
        second, again = await made.launch()
        assert await make_reply(second) == expected
        await second.end()
    assert (again.digest, again.row_bytes) == (loaded.digest, loaded.row_bytes)
    assert new_engines() == []


async def test_what_a_model_prints_disturbs_nobody(version: Path) -> None:
    misbehave(version, "talk")
    async with launched(order_for(version)) as (_, process, _loaded):
        assert len(await make_reply(process)) == REQUEST.max_tokens


async def test_how_a_process_ended_is_told(version: Path) -> None:
    async with launched(order_for(version)) as (made, process, _):
        ended = asyncio.Event()
        process.on_lost = ended.set
        os.kill(process.pid, signal.SIGSEGV)
        await ended.wait()
        ending = await process.end()
        assert (ending.reason, ending.may_be_a_requests_fault) == ("crash", True)
        assert "signal 11 (Segmentation fault)" in ending.text
        second, _ = await made.launch()
        os.kill(second.pid, signal.SIGKILL)
        ending = await second.end()
        assert (ending.reason, ending.may_be_a_requests_fault) == ("killed", False)


async def test_a_bad_checksum_is_the_versions_own_fault(version: Path) -> None:
    flip_byte(version / "model.pt")
    error = await refuse(order_for(version))
    assert "model.pt: its SHA-256" in str(error)
    assert not isinstance(error, ModelTrialError)


async def test_a_model_that_crashes_ends_its_process_alone(version: Path) -> None:
    misbehave(version, "crash")
    error = await refuse(order_for(version))
    assert isinstance(error, ModelTrialError)
    assert "loading it was ended by signal 8 (Floating point" in str(error)


async def test_a_model_that_hangs_is_ended(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "LOAD_SECONDS", 0.5)
    misbehave(version, "hang")
    error = await refuse(order_for(version))
    assert isinstance(error, ModelTrialError)
    assert "did not load and run within 0.5 seconds" in str(error)
    assert new_engines() == []


async def test_a_process_that_nobody_waits_for_any_more_is_ended(version: Path) -> None:
    launching = asyncio.create_task(refuse(order_for(version)))
    await until_so(new_engines, "a process runs")
    launching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await launching
    assert new_engines() == []


async def test_where_memory_ends_a_version_that_is_tried_goes_before_the_server(
    version: Path,
) -> None:
    misbehave(version, "hang")
    before = read_oom_score(psutil.Process())
    launching = asyncio.create_task(refuse(order_for(version, is_beside_others=True)))
    await until_so(new_engines, "a process runs")
    (found,) = new_engines()
    await until_so(lambda: read_oom_score(found) == "1000\n", "the version goes first")
    launching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await launching
    assert read_oom_score(psutil.Process()) == before


async def test_a_version_that_is_let_in_is_as_important_as_any(version: Path) -> None:
    async with launched(order_for(version, is_beside_others=True)) as (_, process, _loaded):
        found = psutil.Process(process.pid)
        assert read_oom_score(found) == read_oom_score(psutil.Process())
        assert found.nice() == psutil.Process().nice()


@pytest.mark.parametrize("file", ["/proc/version", "/proc/self/nothing", "/nowhere/at/all"])
async def test_a_version_is_loaded_where_the_system_does_not_let_it_step_back(
    version: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """A read-only /proc, one without the file, and none: told once, and the version is tried."""
    monkeypatch.setattr(launcher, "_warned", set())
    monkeypatch.setattr(launcher, "PROGRAM", ("-P", "-c", BARRED, file))
    with capture_logs() as log:
        for _ in range(2):
            async with launched(order_for(version, is_beside_others=True)):
                pass
    said = [entry["reason"] for entry in log]
    assert len(said) == 3
    assert sum("Operation not permitted" in reason for reason in said) == 2
    assert sum(file in reason for reason in said) == 1


def test_a_process_ends_with_the_server_that_started_it(version: Path) -> None:
    misbehave(version, "hang")
    with spawn([sys.executable, "-c", SERVER, str(version)]) as server:
        until(lambda: server.poll() or psutil.Process(server.pid).children(), "its engine runs")
        left = psutil.Process(server.pid).children()
        os.kill(server.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(left, END_SECONDS)
    assert alive == []


# --- played by programs that load nothing ------------------------------------------------


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Order]:
    """Let a program stand for the engine's; -> an order for it."""

    def played(program: str) -> Order:
        monkeypatch.setattr(launcher, "PROGRAM", ("-c", f"import os, sys\n{program}"))
        return order_for(tmp_path / "tiny" / "1")

    return played


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("os.kill(os.getpid(), 9)", "was ended by signal 9 (Killed)"),
        ("os.abort()", "was ended by signal 6 (Aborted)"),
        ("sys.exit(4)", "ended with exit code 4"),
        ("raise ValueError('why')", "ended with exit code 1; ValueError: why"),
        ("os.write(2, b'\\xff'); sys.exit(1)", "exit code 1; \N{REPLACEMENT CHARACTER}"),
    ],
)
async def test_an_end_without_an_answer_may_pass(
    play: Callable[[str], Order], program: str, said: str
) -> None:
    error = await refuse(play(program))
    assert isinstance(error, ModelTrialError)
    assert said in str(error)


async def test_a_process_that_cannot_be_started_is_named(
    monkeypatch: pytest.MonkeyPatch, version: Path
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    assert "No such file" in str(await refuse(order_for(version)))


async def test_no_file_is_left_open_where_there_are_too_few(
    monkeypatch: pytest.MonkeyPatch, version: Path
) -> None:
    def refuse_file(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    gc.collect()  # what other tests have left
    before = psutil.Process().num_fds()
    for name in ("make_archive", "make_page", "SharedPage"):
        with monkeypatch.context() as patch:
            patch.setattr(launcher, name, refuse_file)
            error = await refuse(order_for(version))
        assert isinstance(error, ModelTrialError)
        assert "Too many open files" in str(error)
        assert psutil.Process().num_fds() <= before


async def test_a_process_that_never_stops_talking_fills_no_memory(
    play: Callable[[str], Order],
) -> None:
    program = f"for _ in range({FLOOD_BYTES >> 20}):\n os.write(2, b'x' * (1 << 20))\nsys.exit(1)"
    tracemalloc.start()
    try:
        error = await refuse(play(program))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "exit code 1" in str(error)
    assert peak < FLOOD_BYTES / 8
    assert len(str(error)) < FLOOD_BYTES / 8


def test_an_engine_that_cannot_be_connected_to_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    me = psutil.Process()

    async def run() -> None:
        loop = asyncio.get_running_loop()

        async def refuse(*_args: object, **_options: object) -> None:
            raise OSError("no memory")

        monkeypatch.setattr(loop, "create_connection", refuse)
        engine, archive = EngineProcess(), make_archive()
        with pytest.raises(OSError, match="no memory"):
            await engine.start(archive)
        os.close(archive)
        assert await engine._code == -signal.SIGKILL

    asyncio.run(run())  # what a first time opens stays open
    gc.collect()  # what other tests have left
    before = me.num_fds()
    asyncio.run(run())
    gc.collect()
    assert me.num_fds() == before
