"""Keeps the process of an engine alive: sees that it has ended or hangs, and launches another."""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from lstmserve_server.engine.launcher import Ending, EngineProcess, Launcher
from lstmserve_server.engine.messages import Command, Turn
from lstmserve_server.errors import EngineDeadError, NoProcessError
from lstmserve_server.failures import backoff_seconds

MAX_FAILURES = 5  # processes in a row that made nothing
FIRST_PAUSE_SECONDS = 0.1  # before the second of them
HANG_SECONDS = 10.0  # of silence from an engine that has work, on a machine that starves it
LOOKS_PER_HANG = 10

log = structlog.get_logger()


class Engines(Protocol):
    """Who uses the process, and the next one."""

    @property
    def is_waiting(self) -> bool:
        """Whether an engine that runs must say something soon."""

    def on_turn(self, turn: Turn) -> None:
        """Take what a turn has made."""

    def on_ended(self, in_hand: list[int], ending: Ending) -> None:
        """The process has ended while it worked on these replies."""

    def drop_late(self) -> None:
        """Refuse the replies whose deadline has passed: there is no engine that would."""

    def on_back(self) -> None:
        """Another process is there, which knows of no reply yet."""

    def on_dead(self, error: BaseException) -> None:
        """No process can be kept alive."""


class Keeper:
    """One process after the other, of one version; used on one event loop."""

    def __init__(self, launcher: Launcher, process: EngineProcess, engines: Engines) -> None:
        self._launcher = launcher
        self._engines = engines
        self._process: EngineProcess | None = process
        self._num_failures = 0
        self._is_hanging = False
        self._restarting: asyncio.Task[None] | None = None
        self._num_silent = 0  # looks in a row at a process that should have said something
        self._watching = asyncio.create_task(self._watch())
        self._listen(process)

    @property
    def is_up(self) -> bool:
        """Whether commands reach a process."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return None if self._process is None else self._process.pid

    def send(self, commands: list[Command]) -> None:
        """Send commands to the process; they are lost when there is none."""
        if self._process is not None:
            self._process.send(commands)

    def count_progress(self) -> None:
        """Note that something came of the process."""
        self._num_failures = 0

    async def close(self) -> None:
        """End the process, and launch no other."""
        if self._process is not None:
            self._process.on_lost = lambda: None
        tasks = [task for task in (self._watching, self._restarting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        process, self._process = self._process, None
        if process is not None:
            await process.end()
        self._launcher.close()
        del self._engines  # which knows this, and is to go when nobody else knows it

    # --- life of a process -------------------------------------------------------------

    def _listen(self, process: EngineProcess) -> None:
        process.on_turn, process.on_lost = self._hear, self._lose
        if process.is_lost:  # between its launch and now, when nobody listened
            self._lose()

    def _hear(self, turn: Turn) -> None:
        self._num_silent = 0
        self._engines.on_turn(turn)

    def _lose(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            self._restarting = asyncio.create_task(self._restart(process))

    async def _restart(self, process: EngineProcess) -> None:
        in_hand = process.page.in_hand
        ending = await process.end(is_hanging=self._is_hanging)
        self._is_hanging = False
        self._num_failures += 1
        self._engines.on_ended(in_hand, ending)
        try:
            self._process = await self._launch(ending)
        except EngineDeadError as error:
            self._engines.on_dead(error)
            return
        self._num_silent = 0
        self._listen(self._process)
        self._engines.on_back()

    async def _launch(self, ending: Ending) -> EngineProcess:
        """Launch until it works; raises EngineDeadError when it has failed too often."""
        reason, num_refused = ending.text, 0
        while self._num_failures <= MAX_FAILURES:
            if self._num_failures > 1:
                await asyncio.sleep(backoff_seconds(self._num_failures - 1, FIRST_PAUSE_SECONDS))
            try:
                process, _ = await self._launcher.launch()
            except NoProcessError as error:  # which says nothing of the version, and may pass
                num_refused += 1
                log.warning("an engine cannot be started again for now", reason=str(error))
                await asyncio.sleep(backoff_seconds(num_refused, FIRST_PAUSE_SECONDS))
            except Exception as error:  # whatever it is: without an engine nothing is answered
                reason = str(error)
                log.exception("an engine could not be started again")
                self._num_failures += 1
            else:
                return process
        raise EngineDeadError(f"its process has ended {self._num_failures} times: {reason}")

    async def _watch(self) -> None:
        """Kill a process that says nothing though it should.

        Looks are counted and not seconds: a container that is frozen freezes both processes.
        """
        while True:
            await asyncio.sleep(HANG_SECONDS / LOOKS_PER_HANG)
            if self._process is None:
                self._engines.drop_late()
            if self._process is None or not self._engines.is_waiting:
                self._num_silent = 0
            elif self._num_silent < LOOKS_PER_HANG:
                self._num_silent += 1
            elif not self._is_hanging:
                self._is_hanging = True
                self._process.kill()
