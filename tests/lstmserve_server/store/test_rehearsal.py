"""What a trial's process says and how it ends, understood; played by programs that load nothing."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lstmserve_server.errors import ModelLoadError, ModelTrialError
from lstmserve_server.store import rehearsal
from lstmserve_server.store.memory import make_archive
from lstmserve_server.store.rehearsal import rehearse
from lstmserve_server.store.repository import StoredVersion

VERSION = StoredVersion("tiny", 7, Path("store", "tiny", "7"))
FLOOD_BYTES = 64 << 20


async def play(monkeypatch: pytest.MonkeyPatch, program: str) -> str:
    """What the program has written into the archive."""
    monkeypatch.setattr(rehearsal, "PROGRAM", ("-c", f"import os, sys\n{program}"))
    with make_archive() as archive:
        await rehearse(VERSION, archive, max_rows=3, threads=2)
        return os.pread(archive, 1 << 20, 0).decode()


async def test_the_process_is_told_all_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    said = await play(monkeypatch, "os.write(int(sys.argv[2]), ' '.join(sys.argv[1:]).encode())")
    assert said.split()[0] == str(os.getpid())
    assert said.split()[2:] == ["3", "2", "tiny", "7", "store/tiny/7"]


async def test_an_archive_arrives_whole_beside_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = "os.write(1, b'noise' * 9999); os.write(2, b'noise' * 9999)"
    program = f"for _ in range(99):\n os.write(int(sys.argv[2]), b'archive'); {noise}"
    assert await play(monkeypatch, program) == "archive" * 99


async def test_what_a_trial_does_without_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "_warned", set())
    program = "os.write(2, b'warning: no oom\\nwarning: no nice\\nnoise\\nwarning: a model\\n')"
    with capture_logs() as log:
        for _ in range(3):
            await play(monkeypatch, program)
    assert [(entry["log_level"], entry["reason"]) for entry in log] == [
        ("warning", "no oom"),
        ("warning", "no nice"),
    ]


@pytest.mark.parametrize("line", ["b'noise' * 99999", "b'warning: ' * 99999"])
async def test_a_line_without_end_is_no_warning(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(rehearsal, "_warned", set())
    with capture_logs() as log, pytest.raises(ModelLoadError, match="spoiled"):
        await play(monkeypatch, f"os.write(2, {line} + b'\\nspoiled'); sys.exit(2)")
    assert log == []


async def test_a_verdict_is_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelLoadError) as caught:
        await play(monkeypatch, "os.write(2, b'noise\\nmodel.pt: is spoiled\\n\\n'); sys.exit(2)")
    assert type(caught.value) is ModelLoadError
    assert str(caught.value) == "model.pt: is spoiled"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("os.kill(os.getpid(), 9)", "ended by signal 9 (Killed)"),
        ("os.abort()", "ended by signal 6 (Aborted)"),
        ("sys.exit(4)", "exit code 4"),
        ("raise ValueError('why')", "exit code 1; ValueError: why"),
        ("os.write(2, b'\\xff'); sys.exit(1)", "exit code 1; \N{REPLACEMENT CHARACTER}"),
    ],
)
async def test_an_end_without_a_verdict_may_pass(
    monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    with pytest.raises(ModelTrialError) as caught:
        await play(monkeypatch, program)
    assert said in str(caught.value)
    assert str(caught.value).startswith("store/tiny/7: ")
    assert len(str(caught.value).splitlines()) == 1


async def test_a_process_that_cannot_be_started_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with make_archive() as archive, pytest.raises(ModelTrialError, match="No such file"):
        await rehearse(VERSION, archive, max_rows=1, threads=1)


async def test_a_process_that_never_stops_talking_fills_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = f"for _ in range({FLOOD_BYTES >> 20}):\n os.write(2, b'x' * (1 << 20))\nsys.exit(1)"
    tracemalloc.start()
    try:
        with pytest.raises(ModelTrialError, match="exit code 1") as caught:
            await play(monkeypatch, program)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < FLOOD_BYTES / 8
    assert len(str(caught.value)) < FLOOD_BYTES / 8
