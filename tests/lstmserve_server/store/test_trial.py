"""A version is tried by a real process, which is all that it can harm."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from benchmarks.testbed.process import spawn
from benchmarks.testbed.waiting import until, until_so
from lstmserve_server.engine.decoding.decode_row import DecodeRow
from lstmserve_server.engine.request import SamplingParams
from lstmserve_server.errors import ModelLoadError, ModelTrialError
from lstmserve_server.store import rehearsal
from lstmserve_server.store.loader import configure_torch, load_archive, open_version
from lstmserve_server.store.memory import make_archive
from lstmserve_server.store.rehearsal import rehearse
from lstmserve_server.store.repository import StoredVersion
from support.misdeeds import misbehave
from support.stores import copy_version, flip_byte

MAX_ROWS = 2
END_SECONDS = 60
TRIAL = "lstmserve_server.store.trial"
# what a server does that tries a version which never ends
SERVER = """
import asyncio, pathlib, sys
from lstmserve_server.store.memory import make_archive
from lstmserve_server.store.rehearsal import rehearse
from lstmserve_server.store.repository import StoredVersion
with make_archive() as archive:
    asyncio.run(rehearse(StoredVersion("tiny", 1, pathlib.Path(sys.argv[1])), archive, 2, 1))
"""

# a trial where neither the kernel's calls nor /proc allow anything
BARRED = """
import ctypes, os, pathlib, sys
from lstmserve_server import children
from lstmserve_server.store import trial
class Refusing:
    def prctl(self, *_):
        ctypes.set_errno(1)
        return -1
def refuse(_):
    raise PermissionError(1, "Operation not permitted")
children.ctypes.CDLL = lambda *_, **__: Refusing()
os.nice = refuse
trial.OOM_SCORE_FILE = pathlib.Path(sys.argv[1])
trial.main(sys.argv[2:])
"""


@pytest.fixture
def version(tiny_store: Path, tmp_path: Path) -> StoredVersion:
    """A good version, to be spoiled."""
    return StoredVersion("tiny", 1, copy_version(tiny_store / "tiny" / "1", tmp_path))


@pytest.fixture
def archive() -> Iterator[int]:
    with make_archive() as made:
        yield made


def trials() -> list[psutil.Process]:
    """Those of this process, which may have other children."""
    return [each for each in psutil.Process().children() if TRIAL in each.cmdline()]


def read_oom_score(process: psutil.Process) -> str:
    return Path(f"/proc/{process.pid}/oom_score_adj").read_text()


async def test_a_good_version_gives_an_archive_that_runs_and_is_of_that_version_alone(
    version: StoredVersion, archive: int
) -> None:
    """Whatever it prints; and its files may change between the trial and the load."""
    misbehave(version.folder, "talk")
    await rehearse(version, archive, MAX_ROWS, threads=1)
    configure_torch(threads=1)
    runner = load_archive(open_version(version), archive, MAX_ROWS).runner
    runner.clear([0])
    row = DecodeRow(0, 0, 0, SamplingParams(temperature=0.0), min_tokens=4)
    (decoded,) = runner.decode([row], steps=4, same_rows=False)
    assert len(decoded.token_ids) == 4
    misbehave(version.folder, "crash")
    with pytest.raises(ModelLoadError, match="changed while it was loaded"):
        load_archive(open_version(version), archive, MAX_ROWS)


async def test_a_bad_checksum_is_the_versions_own_fault(
    version: StoredVersion, archive: int
) -> None:
    flip_byte(version.folder / "model.pt")
    with pytest.raises(ModelLoadError, match=r"model\.pt: its SHA-256") as caught:
        await rehearse(version, archive, MAX_ROWS, threads=1)
    assert not isinstance(caught.value, ModelTrialError)


async def test_a_model_that_crashes_ends_its_trial_alone(
    version: StoredVersion, archive: int
) -> None:
    misbehave(version.folder, "crash")
    with pytest.raises(ModelTrialError, match=r"ended by signal 8 \(Floating point") as caught:
        await rehearse(version, archive, MAX_ROWS, threads=1)
    assert str(version.folder) in str(caught.value)


async def test_a_model_that_hangs_is_ended(version: StoredVersion, archive: int) -> None:
    misbehave(version.folder, "hang")
    with pytest.raises(ModelTrialError, match=r"did not load and run within 0\.5 seconds"):
        await rehearse(version, archive, MAX_ROWS, threads=1, timeout_seconds=0.5)
    assert trials() == []


async def test_a_trial_that_nobody_waits_for_any_more_is_ended(
    version: StoredVersion, archive: int
) -> None:
    trial = asyncio.create_task(rehearse(version, archive, MAX_ROWS, threads=1))
    await until_so(trials, "a trial runs")
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    assert trials() == []


async def test_where_memory_ends_a_trial_goes_before_the_server(
    version: StoredVersion, archive: int
) -> None:
    misbehave(version.folder, "hang")
    trial = asyncio.create_task(rehearse(version, archive, MAX_ROWS, threads=1))
    await until_so(trials, "a trial runs")
    (found,) = trials()
    await until_so(lambda: read_oom_score(found) == "1000\n", "the trial goes first")
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial


@pytest.mark.parametrize("file", ["/proc/version", "/proc/self/nothing", "/nowhere/at/all"])
async def test_a_trial_goes_on_where_the_system_does_not_let_it_step_back(
    version: StoredVersion, archive: int, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """A read-only /proc, one without the file, and none: told once, and the version is tried."""
    monkeypatch.setattr(rehearsal, "_warned", set())
    monkeypatch.setattr(rehearsal, "PROGRAM", ("-P", "-c", BARRED, file))
    flip_byte(version.folder / "model.pt")
    with capture_logs() as log:
        for _ in range(2):
            with pytest.raises(ModelLoadError, match="SHA-256"):
                await rehearse(version, archive, MAX_ROWS, threads=1)
    said = [entry["reason"] for entry in log]
    assert len(said) == 3
    assert all("Operation not permitted" in reason for reason in said[:2])
    assert file in said[2]


def test_a_trial_ends_with_the_server_that_began_it(version: StoredVersion) -> None:
    misbehave(version.folder, "hang")
    with spawn([sys.executable, "-c", SERVER, str(version.folder)]) as server:
        until(lambda: server.poll() or psutil.Process(server.pid).children(), "its trial runs")
        left = psutil.Process(server.pid).children()
        os.kill(server.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(left, END_SECONDS)
    assert alive == []
