"""Programs that tests and benchmarks start, and the ports that they are given."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from benchmarks.testbed import process, redis, server
from benchmarks.testbed.ports import find_free_port
from benchmarks.testbed.process import ProgramError, read_line, run_program, spawn
from benchmarks.testbed.server import ReadyProgram, ServerProcess
from benchmarks.testbed.trials import remembered
from benchmarks.testbed.waiting import until
from lstmserve_server.engine.archive import make_archive
from lstmserve_server.engine.process.loader import LoadedModel, load_version
from lstmserve_server.errors import ModelLoadError
from support.metrics_page import MetricsPage
from support.stores import copy_version, flip_byte

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
TELL = "import signal; print([int(signal.getsignal(s) == signal.SIG_IGN) for s in {signals}])"
PARENT = """
import sys
from benchmarks.testbed.process import spawn
child = spawn([sys.executable, "-c", "input()"], stdin=-1)
print(child.pid, flush=True)
input()
"""


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_a_program_ignores_nothing_that_whoever_started_it_ignores() -> None:
    signals = [int(one) for one in IGNORED if one != signal.SIGPIPE]  # Python ignores that itself
    before = {one: signal.signal(one, signal.SIG_IGN) for one in IGNORED}
    try:
        done = run_program(python(TELL.format(signals=signals)), capture_output=True, text=True)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert done.stdout == "[0, 0, 0]\n"


def test_servers_that_were_started_here_are_asked_without_a_proxy(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(urllib.request, "_opener", None)  # made of an earlier environment
    assert MetricsPage(server.metrics_url).samples


def test_a_program_ends_with_whoever_started_it() -> None:
    with spawn(python(PARENT), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as parent:
        assert parent.stdout is not None
        left = psutil.Process(int(read_line(parent.stdout)))
        parent.kill()
    until(lambda: not left.is_running() or left.status() == psutil.STATUS_ZOMBIE, "it has ended")


def test_what_never_gets_ready_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.read_line, "__defaults__", (0.5,))
    program = ReadyProgram(python("import signal; signal.pause()"))
    with pytest.raises(ProgramError, match="no line in"), program:
        pass
    assert program.has_ended


def test_what_ends_too_early_is_told_with_its_log() -> None:
    with pytest.raises(ProgramError, match=r"(?s)it said ''.*for this"):
        ReadyProgram(python("raise SystemExit('for this')")).__enter__()


def test_what_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "END_SECONDS", 0.5)
    deaf = "import signal; signal.signal(15, signal.SIG_IGN); print('ready x', flush=True); "
    program = ReadyProgram(python(deaf + "signal.pause()"))
    with pytest.raises(ProgramError, match="did not end in"), program:
        pass
    assert program.has_ended


def test_ports_differ_between_processes_that_ask_at_once() -> None:
    tell = "from benchmarks.testbed.ports import find_free_port as find; "
    tell += "print(*[find() for _ in range(150)])"
    ours = [find_free_port() for _ in range(150)]
    theirs = run_program(python(tell), capture_output=True, text=True, check=True).stdout.split()
    assert len({*ours, *map(int, theirs)}) == 300


def test_a_forked_server_has_what_a_started_one_would(tiny_store: Path) -> None:
    """The limits, cores, environment and folder are those of who asked."""
    before, (core, *_) = resource.getrlimit(resource.RLIMIT_AS), os.sched_getaffinity(0)
    cores = os.sched_getaffinity(0)
    lower = (1 << 42, before[1])
    try:
        resource.setrlimit(resource.RLIMIT_AS, lower)
        os.sched_setaffinity(0, [core])
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LSTMSERVE_MAX_RUNNING", "3")
            forked = ServerProcess(tiny_store)
            with forked:
                running = psutil.Process(forked.pid)
                assert running.ppid() == os.getpid()
                assert running.cpu_affinity() == [core]
                assert running.rlimit(resource.RLIMIT_AS) == lower
                assert running.cwd() == str(Path.cwd())
                page = MetricsPage(forked.metrics_url)
        assert page.total("max_running_sequences") == 3
    finally:
        os.sched_setaffinity(0, cores)
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_only_an_exact_version_that_is_as_published_is_remembered(
    tiny_store: Path, tmp_path: Path
) -> None:
    proved: list[int] = []

    def prove(folder: Path, archive: int, max_rows: int) -> LoadedModel:
        proved.append(max_rows)
        return replace(load_version(folder, archive, max_rows), difference=found)

    version = copy_version(tiny_store / "tiny" / "1", tmp_path)
    load = remembered(prove, tmp_path)

    def rows_proved(*all_rows: int) -> list[int]:
        proved.clear()
        for max_rows in all_rows:
            archive = make_archive()
            assert load(version, archive, max_rows).facts.vocabulary > 0
            assert os.fstat(archive).st_size > 0
            os.close(archive)
        return proved

    found = "it depends on others"
    assert rows_proved(1, 1) == [1, 1]
    found = ""
    assert rows_proved(1, 1, 2, 1) == [1, 2]
    flip_byte(version / "model.pt")
    with pytest.raises(ModelLoadError, match=r"model\.pt"):
        rows_proved(1)


def test_an_active_environment_does_not_hide_the_system_s_redis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, system = (tmp_path / name / "bin" / "redis-server" for name in ("environment", "system"))
    for program in (own, system):
        program.parent.mkdir(parents=True)
        program.touch(mode=0o755)
    monkeypatch.delenv("REDIS_SERVER", raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    monkeypatch.setenv("PATH", f"{own.parent}:{system.parent}")
    assert redis.find_program() == str(system)
