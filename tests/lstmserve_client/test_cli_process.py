"""The command as a real process: pieces as they come, interrupts, closed pipes, a terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from benchmarks.testbed.process import run_program, spawn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.fake_server import FakeServer

WAIT_SECONDS = 60
COMMAND = [sys.executable, "-m", "lstmserve_client"]


@contextmanager
def process(fake: FakeServer, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command at work, with a pipe for each standard stream."""
    pipe = subprocess.PIPE
    env = os.environ | {"LSTMSERVE_TARGET": fake.target}
    with spawn(
        [*COMMAND, *args], stdin=pipe, stdout=pipe, stderr=pipe, env=env, bufsize=0
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def read_until(descriptor: int, ending: bytes) -> bytes:
    """Read as it comes; fails if the other end closes before."""
    seen = b""
    while not seen.endswith(ending):
        piece = os.read(descriptor, 1)
        assert piece, seen
        seen += piece
    return seen


def test_generate_prints_its_reply(fake: FakeServer) -> None:
    with process(fake, "generate", "hi") as running:
        out, err = running.communicate(timeout=WAIT_SECONDS)
    assert (running.returncode, out, err) == (0, b"Hello [bold]you\n", b"")


def test_text_comes_before_the_reply_is_complete_and_an_interrupt_is_quiet(
    fake: FakeServer,
) -> None:
    del fake.events[2:]
    fake.hangs = True
    with process(fake, "generate", "hi") as running:
        assert running.stdout is not None
        read_until(running.stdout.fileno(), b"Hel")
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=WAIT_SECONDS)
    assert (running.returncode, out, err) == (130, b"", b"")
    assert fake.cancelled.wait(WAIT_SECONDS)


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_a_closed_pipe_is_quiet(fake: FakeServer, options: list[str]) -> None:
    del fake.events[2:]
    fake.floods = True
    with process(fake, "generate", "hi", *options) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        os.read(running.stdout.fileno(), 5)
        running.stdout.close()
        err = running.stderr.read()
        running.wait(WAIT_SECONDS)
    assert err == b""
    assert fake.cancelled.wait(WAIT_SECONDS)


def test_text_that_the_terminal_cannot_show_is_no_crash(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.events[1].chunk.text = "né"
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    with process(fake, "generate", "hi") as running:
        out, _ = running.communicate(timeout=WAIT_SECONDS)
    assert (running.returncode, out) == (0, b"n?lo [bold]you\n")


def interrupt(running: subprocess.Popen[bytes]) -> None:
    """Ctrl-C, as a person does it: again if nothing happened.

    A signal that comes after the prompt was written, but before CPython's readline waits
    for a key, is not heard until the next one.
    """
    running.send_signal(signal.SIGINT)
    try:
        running.wait(WAIT_SECONDS / 20)
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGINT)


@pytest.mark.parametrize("how", ["quit", "end of input", "interrupt"])
def test_chat_on_a_terminal(fake: FakeServer, how: str) -> None:
    terminal, slave = pty.openpty()
    env = os.environ | {"LSTMSERVE_TARGET": fake.target, "TERM": "dumb"}
    with spawn(
        [*COMMAND, "chat"], stdin=slave, stdout=slave, stderr=subprocess.PIPE, env=env
    ) as running:
        read_until(terminal, b"you> ")
        os.write(terminal, b"hi\n")
        assert b"Hello [bold]you" in read_until(terminal, b"you> ")
        if how == "interrupt":
            interrupt(running)
        else:
            os.write(terminal, b"/quit\n" if how == "quit" else b"\x04")
        running.wait(WAIT_SECONDS)
        assert running.stderr is not None
        err = running.stderr.read()
    os.close(slave)
    os.close(terminal)
    assert running.returncode == (130 if how == "interrupt" else 0)
    assert b"Traceback" not in err
    assert [turn.text for turn in fake.requests[0].conversation.turns] == ["hi"]


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 1), (b"\n", 1)])
def test_a_person_is_asked_before_everything_is_dropped(
    fake: FakeServer, answer: bytes, code: int
) -> None:
    terminal, slave = pty.openpty()
    env = os.environ | {"LSTMSERVE_TARGET": fake.target, "TERM": "dumb"}
    pipe = subprocess.PIPE
    with spawn(
        [*COMMAND, "cache", "purge"], stdin=slave, stdout=pipe, stderr=slave, env=env
    ) as running:
        asked = read_until(terminal, b"[y/N] ")
        os.write(terminal, answer)
        out, _ = running.communicate(timeout=WAIT_SECONDS)
    os.close(slave)
    os.close(terminal)
    assert fake.target.encode() in asked
    assert running.returncode == code
    assert len(fake.purges) == (1 if code == 0 else 0)
    assert out == (b"dropped 1,200 entries from memory and 34 from Redis\n" if code == 0 else b"")


def test_warming_shows_how_far_it_is_to_whoever_watches(fake: FakeServer) -> None:
    terminal, slave = pty.openpty()
    env = os.environ | {"LSTMSERVE_TARGET": fake.target, "TERM": "xterm", "COLUMNS": "100"}
    pipe = subprocess.PIPE
    with spawn(
        [*COMMAND, "cache", "warm", "-"], stdin=pipe, stdout=pipe, stderr=slave, env=env
    ) as running:
        os.close(slave)
        out, _ = running.communicate(b"hi\nwhy?\n", timeout=WAIT_SECONDS)
        bar = read_until(terminal, b"2/2")
    os.close(terminal)
    assert running.returncode == 0
    assert b"0/2" in bar
    assert out.startswith(b"2 prompts: 6 replies generated, ")


def test_warming_that_is_interrupted_stops_here_and_there_and_says_how_far_it_came(
    fake: FakeServer,
) -> None:
    fake.hangs = True
    with process(fake, "cache", "warm", "-") as running:
        assert running.stdin is not None
        running.stdin.write(b"hi\nwhy?\n")
        running.stdin.close()
        running.stdin = None
        assert fake.warming.wait(WAIT_SECONDS)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=WAIT_SECONDS)
    assert (running.returncode, err) == (130, b"")
    assert out.startswith(b"0 of 2 prompts: 0 replies generated, ")
    assert fake.cancelled.wait(WAIT_SECONDS)


CLOSED = [
    ("generate hi >&-", 0, b"", b""),
    ("generate hi <&-", 0, b"Hello [bold]you\n", b""),
    ("generate hi 2>&-", 0, b"Hello [bold]you\n", b""),
    ("generate hi >&- 2>&- <&-", 0, b"", b""),
    ("chat <&-", 0, b"", b""),
    ("cache purge <&-", 2, b"", b"error: this drops everything; say so with --yes"),
    ("generate hi >/dev/full", 1, b"", b"error: the output cannot be written: No space left"),
    ("health >/dev/full", 1, b"", b"error: the output cannot be written: No space left"),
    ("health --nonsense 2>/dev/full", 1, b"", b""),
]


@pytest.mark.parametrize(("line", "code", "out", "err"), CLOSED)
def test_streams_that_are_closed_or_full_are_no_crash(
    fake: FakeServer, line: str, code: int, out: bytes, err: bytes
) -> None:
    ended = run_program(
        ["/bin/sh", "-c", f'"$0" -m lstmserve_client {line}', sys.executable],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env=os.environ | {"LSTMSERVE_TARGET": fake.target},
    )
    assert (ended.returncode, ended.stdout) == (code, out), ended.stderr
    assert ended.stderr.startswith(err)
    assert b"Traceback" not in ended.stderr
    assert ended.stderr.count(b"\n") == (1 if err else 0)
