"""Has a version tried by another process, so that no version can end or stall this one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import cast

import structlog

from lstmserve_server.children import environment, send_signal
from lstmserve_server.errors import ModelLoadError, ModelTrialError
from lstmserve_server.store.repository import StoredVersion
from lstmserve_server.store.trial import EXIT_INEXACT, EXIT_REFUSED, WARNING

# -P: the folder in which the server was started is no place to import from
PROGRAM = ("-P", "-m", "lstmserve_server.store.trial")
# of a process that takes three seconds on an idle core and yields to everybody else
TIMEOUT_SECONDS = 300.0
MAX_SAID_BYTES = 1 << 16  # of what it says last; a model may talk without end
MAX_WARNINGS = 8  # each of them once in the life of this process
_warned: set[str] = set()

log = structlog.get_logger()


async def rehearse(
    stored: StoredVersion,
    archive: int,
    max_rows: int,
    threads: int,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> str:
    """Have it compiled into the archive, and proved to run; raises ModelLoadError.

    Return what its replies depend on besides their requests; empty for nothing. Call on the main
    thread: the process dies with the thread that started it.
    """
    facts = (os.getpid(), archive, max_rows, threads, stored.name, stored.version, stored.folder)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *PROGRAM,
            *map(str, facts),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=environment(),
            pass_fds=(archive,),
            process_group=0,  # Ctrl-C on the terminal is for the server alone
        )
    except OSError as error:  # no memory, no process, no file descriptor left
        raise ModelTrialError(f"{stored.folder}: cannot be tried: {error.strerror}") from None
    return await _await_verdict(process, stored, timeout_seconds)


async def _await_verdict(
    process: asyncio.subprocess.Process, stored: StoredVersion, timeout_seconds: float
) -> str:
    try:
        async with asyncio.timeout(timeout_seconds):
            said = await _read_end(cast("asyncio.StreamReader", process.stderr))  # asked for
            await process.wait()
    except TimeoutError:
        raise ModelTrialError(
            f"{stored.folder}: did not load and run within {timeout_seconds:g} seconds"
        ) from None
    finally:
        send_signal(process, signal.SIGKILL)
        await process.wait()
    last_line = (said.decode(errors="replace").strip().splitlines() or [""])[-1]
    if process.returncode == EXIT_REFUSED:
        raise ModelLoadError(last_line)
    if process.returncode == EXIT_INEXACT:
        return last_line
    if process.returncode:
        raise ModelTrialError(f"{stored.folder}: {_describe(process.returncode)}; {last_line}")
    return ""


async def _read_end(reader: asyncio.StreamReader) -> bytes:
    """What it says last; before anything else it says what it has to do without."""
    said = b""
    with suppress(ValueError):  # a line without end: that is a model talking
        while (said := await reader.readline()).startswith(WARNING.encode()):
            _warn_once(said.decode(errors="replace").strip().removeprefix(WARNING))
    while piece := await reader.read(MAX_SAID_BYTES):
        said = (said + piece)[-MAX_SAID_BYTES:]
    return said


def _warn_once(trouble: str) -> None:
    if trouble not in _warned and len(_warned) < MAX_WARNINGS:
        _warned.add(trouble)
        log.warning("versions are tried with less care for the server", reason=trouble)


def _describe(code: int) -> str:
    if code > 0:
        return f"loading it ended with exit code {code}"
    return f"loading it was ended by signal {-code} ({signal.strsignal(-code)})"
