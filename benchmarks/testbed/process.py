"""A program that is started, says that it is ready, and ends with its block."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from benchmarks.testbed.waiting import until

START_SECONDS = 150.0
END_SECONDS = 60.0
RUN_SECONDS = 160.0
# every signal has its default disposition, whatever whoever started us ignores; and the kernel
# kills the program when the thread that started it ends
CLEAN = ("env", "--default-signal", "setpriv", "--pdeathsig", "KILL")
Command = Sequence[str | Path]
# one thread starts all, and lives as long as this process
_SPAWNER = ThreadPoolExecutor(1, "spawner")


class ProgramError(Exception):
    """A program did not start, or did not end."""


class Child(subprocess.Popen[Any]):
    """A process all waits for which have a limit."""

    def __init__(self, command: Command, options: Mapping[str, Any]) -> None:
        self._name = " ".join(map(str, command))[:200]
        super().__init__([*CLEAN, *command], **options)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code; raises ProgramError, and kills it, if it does not end."""
        try:
            return super().wait(END_SECONDS if timeout is None else timeout)
        except subprocess.TimeoutExpired:
            if timeout is not None:
                raise
            self.kill()
            super().wait(END_SECONDS)
            raise ProgramError(f"{self._name} did not end in {END_SECONDS:g} s") from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:  # nobody tells it to end any more
            self.kill()
        super().__exit__(kind, error, traceback)

    def communicate(
        self,
        input: Any = None,  # noqa: A002, ANN401 - as Popen has it
        timeout: float | None = None,
    ) -> tuple[Any, Any]:
        """Return what it writes until it ends; raises TimeoutExpired if it does not."""
        return super().communicate(input, END_SECONDS if timeout is None else timeout)


def spawn(command: Command, **options: Any) -> Child:  # noqa: ANN401 - those of Popen
    """Start a process that does not outlive this one; with ``with`` it is waited for."""
    cores = os.sched_getaffinity(0)  # of the caller's thread, which the process would have had
    return _SPAWNER.submit(_start, command, options, cores).result(START_SECONDS)


def _start(command: Command, options: Mapping[str, Any], cores: AbstractSet[int]) -> Child:
    os.sched_setaffinity(0, cores)
    return Child(command, options)


def run_program(
    command: Command,
    *,
    input: str | bytes | None = None,  # noqa: A002 - as subprocess.run has it
    capture_output: bool = False,
    check: bool = False,
    timeout: float = RUN_SECONDS,
    start: Callable[..., Child] = spawn,
    **options: Any,  # noqa: ANN401 - those of Popen
) -> subprocess.CompletedProcess[Any]:
    """Run a program to its end, as ``subprocess.run`` does; raises ProgramError at the limit.

    ``start`` is what starts it.
    """
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if input is not None:
        options["stdin"] = subprocess.PIPE
    with start(command, **options) as child:
        try:
            out, err = child.communicate(input, timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            said = child.communicate()
            name = " ".join(map(str, command))[:200]
            raise ProgramError(f"{name} did not end in {timeout:g} s: {said}") from None
    done = subprocess.CompletedProcess(command, child.returncode, out, err)
    if check and done.returncode:
        raise ProgramError(f"{command[0]} ended with {done.returncode}: {out!r} {err!r}")
    return done


def read_line(file: IO[bytes], seconds: float = START_SECONDS) -> str:
    """Return the next line of an unbuffered pipe, or what came before its end.

    Raises TimeoutError if neither comes.
    """
    line, ends_at = b"", time.monotonic() + seconds
    waiting = select.poll()  # select() refuses descriptors from 1024 on
    waiting.register(file, select.POLLIN)
    while not line.endswith(b"\n"):
        if not waiting.poll(1000 * max(0.0, ends_at - time.monotonic())):
            raise TimeoutError(f"no line in {seconds:g} s, but {line!r}")
        piece = os.read(file.fileno(), 1)
        if not piece:
            break
        line += piece
    return line.decode()


class Program:
    """Ended with its block, whatever state it is in; ``process`` is the one that runs.

    What it writes goes to a log; a subclass says when it is ready.
    """

    def __init__(
        self,
        command: Command,
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """``folder`` is where it works; ``environment`` is all that it has, else ours."""
        self.command = command
        self.process: Child | None = None
        self._folder = folder
        self._environment = environment
        self._log: IO[str] = tempfile.TemporaryFile("a+")  # noqa: SIM115 - closed with the block

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.end()
        finally:
            self._close()

    def start(self) -> None:
        """Start, also again after an end; raises ProgramError if it never becomes ready."""
        self._close_output()
        self.process = self._spawn(
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=self._log,
            bufsize=0,
        )
        try:
            self.wait_until_ready()
        except TimeoutError as error:
            self.fail(str(error))

    def _spawn(self, **options: Any) -> Child:  # noqa: ANN401 - those of Popen
        return spawn(self.command, **options)

    @property
    def output(self) -> IO[str] | int:
        """Where its standard output goes: to the log."""
        return self._log

    def wait_until_ready(self) -> None:
        """Wait for a sign of it; raises TimeoutError or ProgramError."""
        until(lambda: self.has_ended or self.is_ready(), "it is ready", START_SECONDS)
        if self.has_ended:
            self.fail(f"it ended with {self.running.returncode}")

    def is_ready(self) -> bool:
        """Return whether it does what it is for."""
        return True

    def fail(self, why: str) -> None:
        """Kill it, and raise ProgramError with what it wrote."""
        self.kill()
        name = Path(self.command[0]).name
        raise ProgramError(f"{name} did not start: {why}\n{self.read_log()}")

    @property
    def running(self) -> Child:
        """The process, once it was started."""
        if self.process is None:
            raise ProgramError(f"{self.command[0]} was not started")
        return self.process

    @property
    def pid(self) -> int:
        return self.running.pid

    @property
    def has_ended(self) -> bool:
        return self.running.poll() is not None

    def end(self) -> None:
        """End it with its block."""
        self.kill()

    def kill(self) -> None:
        """End at once, frozen or not."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """Ask it to end as it likes, and wait for that; its exit code."""
        self.running.terminate()
        return self.wait()

    def wait(self) -> int:
        """Return the exit code of one that was told to end, or that ends by itself."""
        try:
            return self.running.wait()
        except ProgramError as error:
            raise ProgramError(f"{error}\n{self.read_log()}") from None

    def send_signal(self, number: signal.Signals) -> None:
        self.running.send_signal(number)

    def freeze(self) -> None:
        """Let connections be, and answer nothing."""
        self.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send_signal(signal.SIGCONT)

    def read_log(self) -> str:
        """Return what it wrote so far."""
        self._log.seek(0)  # it appends, wherever the position is
        return self._log.read()

    def _close(self) -> None:
        self._log.close()
        self._close_output()

    def _close_output(self) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
