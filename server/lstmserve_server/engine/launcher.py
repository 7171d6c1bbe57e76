"""Starts the processes of engines, and is this process's end of the connection to one."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

import msgspec
import structlog

from lstmserve_server.children import environment, send_signal, wait_for
from lstmserve_server.engine.archive import make_archive, seal
from lstmserve_server.engine.messages import (
    ANSWERS,
    Command,
    FromEngine,
    Loaded,
    Order,
    Refused,
    Turn,
    Unframer,
    frame,
)
from lstmserve_server.engine.shared_page import SharedPage, make_page
from lstmserve_server.errors import ModelLoadError, ModelTrialError, NoProcessError

# -P: the folder in which the server was started is no place to import from
PROGRAM = ("-P", "-m", "lstmserve_server.engine.process.main")
# of a process that takes three seconds on an idle core and yields to everybody else
LOAD_SECONDS = 300.0
MAX_SAID_BYTES = 1 << 16  # of what it says last; a model may talk without end
MAX_WARNINGS = 8  # each of them once in the life of this process
_warned: set[str] = set()

CRASH, KILLED, ERROR, HANG = REASONS = ("crash", "killed", "error", "hang")
CRASH_SIGNALS = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
LAST_WORDS_SECONDS = 1.0  # between the end of the connection and that of the process

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process of an engine ended."""

    reason: str  # one of REASONS
    text: str

    @property
    def may_be_a_requests_fault(self) -> bool:
        """Whether it was not just killed from outside, or where memory ended."""
        return self.reason != KILLED


class EngineProcess(asyncio.Protocol):
    """A process that runs one version; used on one event loop.

    ``on_turn`` is given what it makes, and ``on_lost`` is called once, when it has ended or is
    about to: nothing comes after that.
    """

    def __init__(self) -> None:
        self.on_turn: Callable[[Turn], None] = _ignore
        self.on_lost: Callable[[], None] = lambda: None
        self.page: SharedPage
        self._process: subprocess.Popen[bytes]
        self._unframer = Unframer()
        self._first: asyncio.Future[FromEngine] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._said = b""
        self._is_lost = False  # the connection ended before we closed it

    # --- life ------------------------------------------------------------------------

    async def start(self, archive: int) -> None:
        """Start the program; raises OSError when there is no memory, process or file for it."""
        ours, theirs = socket.socketpair()
        try:
            self._process = self._run(theirs.fileno(), archive)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._code = asyncio.create_task(wait_for(self._process))
        self._listening = asyncio.create_task(self._listen())
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, sock=ours)
        except BaseException:
            ours.close()
            self.kill()
            await asyncio.gather(self._code, self._listening)
            self.page.close()
            raise

    def _run(self, connection: int, archive: int) -> subprocess.Popen[bytes]:
        page = make_page()
        try:
            self.page = SharedPage(page)
            passed = (connection, archive, page)
            # not the event loop's way: uvloop forks, and gRPC starts its threads anew in a fork,
            # which ends some of them by a segmentation fault; this one is a vfork
            return subprocess.Popen(  # noqa: S603 - this interpreter, and numbers
                [sys.executable, *PROGRAM, *map(str, (os.getpid(), *passed))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment(),
                pass_fds=passed,
                process_group=0,  # Ctrl-C on the terminal is for the server alone
            )
        finally:
            os.close(page)

    async def load(self, order: Order) -> Loaded:
        """Let it load a version; raises ModelLoadError."""
        self._write(frame(order))
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                answer = await self._first
        except TimeoutError:
            raise ModelTrialError(
                f"{order.folder}: did not load and run within {LOAD_SECONDS:g} seconds"
            ) from None
        except ConnectionError:
            ending = await self.end()
            raise ModelTrialError(f"{order.folder}: loading it {ending.text}") from None
        if isinstance(answer, Refused):
            raise ModelLoadError(answer.reason)
        if not isinstance(answer, Loaded):
            raise TypeError(f"an engine answered an order with {answer!r}")
        _warn_once(answer.warnings)
        self._said = b""  # what it said so far has no part in how it may end
        return answer

    def kill(self) -> None:
        """Let the kernel end it, even if it is stopped."""
        send_signal(self._process, signal.SIGKILL)

    async def end(self, *, is_hanging: bool = False) -> Ending:
        """End it at once, however it is; return how it ended. ``is_hanging``: we killed it."""
        try:
            await self._give_time()
        finally:
            if self._transport is not None:
                self._transport.abort()
            self.kill()
        code = await asyncio.shield(self._code)
        await self._listening
        last_line = (self._said.decode(errors="replace").strip().splitlines() or [""])[-1]
        self.page.close()
        if is_hanging:
            return Ending(HANG, "it said nothing for too long, and was killed")
        how = _describe(code)
        return Ending(_reason_of(code), f"{how}; {last_line}" if last_line else how)

    async def _give_time(self) -> None:
        """Let a process that is ending anyway end by itself: how it does is worth knowing."""
        await asyncio.wait({self._code}, timeout=self._is_lost * LAST_WORDS_SECONDS)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_lost(self) -> bool:
        """Whether it has ended already; ``on_lost`` is called for what happens later."""
        return self._is_lost

    def send(self, commands: Sequence[Command]) -> None:
        """Send commands; they are lost when it has ended."""
        self._write(frame(list(commands)))
        self.page.count_arrival()

    def _write(self, data: bytearray) -> None:
        if self._transport is not None:
            self._transport.write(data)

    async def _listen(self) -> None:
        """Keep what it says last on standard error."""
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._process.stderr
        )
        with closing(transport):  # uvloop leaves it open at its end
            while piece := await reader.read(MAX_SAID_BYTES):
                self._said = (self._said + piece)[-MAX_SAID_BYTES:]

    # --- what asyncio calls ----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self._transport = transport  # type: ignore[assignment]  # one of a socket

    def data_received(self, data: bytes) -> None:
        """Pass on what is complete."""
        for message in self._unframer.add(data):
            answer = ANSWERS.decode(message)
            if isinstance(answer, Turn):
                self.on_turn(answer)
            elif not self._first.done():
                self._first.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio calls it
        """Tell that nothing more comes."""
        self._transport, self._is_lost = None, True
        if not self._first.done():
            self._first.set_exception(ConnectionResetError("the engine has ended"))
            self._first.exception()  # whoever waits has it; nobody else needs to
        self.on_lost()


class Launcher:
    """Starts processes that all run the same version, out of one archive."""

    def __init__(self, order: Order) -> None:
        """Raises ModelTrialError when there is no memory or file for the archive."""
        self._order = order
        try:
            self._archive = make_archive()
        except OSError as error:
            raise ModelTrialError(
                f"{order.folder}: no file in memory can be made: {error.strerror}"
            ) from None

    async def launch(self) -> tuple[EngineProcess, Loaded]:
        """Return a process that has loaded the version; raises ModelLoadError.

        It is a NoProcessError where the system lacks memory, processes or files. The first
        process proves the version and fills the archive, from which all others load.
        """
        process = EngineProcess()
        try:
            await process.start(self._archive)
        except OSError as error:
            raise NoProcessError(
                f"{self._order.folder}: no process can be started: {error.strerror}"
            ) from None
        try:
            loaded = await process.load(self._order)
        except BaseException:
            with suppress(OSError):
                await process.end()
            raise
        seal(self._archive)
        # whoever comes after it has callers that wait
        self._order = msgspec.structs.replace(
            self._order, difference=loaded.difference, is_beside_others=False
        )
        return process, loaded

    def close(self) -> None:
        """Let the archive go; nothing is launched any more."""
        os.close(self._archive)


def _ignore(_: Turn) -> None:
    """Nobody listens yet."""


def _warn_once(troubles: Sequence[str]) -> None:
    for trouble in troubles:
        if trouble not in _warned and len(_warned) < MAX_WARNINGS:
            _warned.add(trouble)
            log.warning("versions are loaded with less care for the server", reason=trouble)


def _reason_of(code: int) -> str:
    if code >= 0:
        return ERROR
    return CRASH if -code in CRASH_SIGNALS else KILLED


def _describe(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was ended by signal {-code} ({signal.strsignal(-code)})"
