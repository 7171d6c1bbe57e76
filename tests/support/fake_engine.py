"""An engine that runs on the event loop of its client, and can die as processes do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.launcher import CRASH, KILLED, Ending
from lstmserve_server.engine.messages import ANSWERS, COMMANDS, Command, Loaded, Turn, frame
from lstmserve_server.engine.process.engine import Engine
from lstmserve_server.errors import ModelTrialError, NoProcessError
from support.fake_runner import END_ID, FakeRunner
from support.pages import map_page

LENGTH_BYTES = 4
LOADED = Loaded("digest", "", 0, FakeRunner.row_bytes, ())


class FakeProcess:
    """Takes its turns one by one, and lets the loop run in between; messages are as on the wire."""

    def __init__(self, runner: FakeRunner, config: EngineConfig) -> None:
        self.on_turn: Callable[[Turn], None] = lambda _: None
        self.on_lost: Callable[[], None] = lambda: None
        self.pid = 1
        self.page = map_page()
        self.engine = Engine(runner, END_ID, config, self.page, time.monotonic)  # type: ignore[arg-type]
        self.messages: list[list[Command]] = []
        self.is_stopped = False  # it hears and says nothing
        self.is_hanging = False
        self._is_dead = False
        self._is_due = False
        self._ending = Ending(KILLED, "was killed")

    def send(self, commands: Sequence[Command]) -> None:
        decoded = COMMANDS.decode(bytes(frame(list(commands)))[LENGTH_BYTES:])
        self.messages.append(decoded)
        for command in decoded:
            self.engine.run(command)
        self._schedule()

    @property
    def received(self) -> list[Command]:
        """What all messages said."""
        return [command for message in self.messages for command in message]

    @property
    def is_lost(self) -> bool:
        return self._is_dead

    def kill(self) -> None:
        self.die()

    def die(self, reason: str = KILLED, in_hand: Sequence[int] = ()) -> None:
        """End, with these replies in hand."""
        if not self._is_dead:
            self._is_dead = True
            self._ending = Ending(reason, f"was ended ({reason})")
            self.page.take_in_hand(in_hand)
            asyncio.get_running_loop().call_soon(self.on_lost)

    async def end(self, *, is_hanging: bool = False) -> Ending:
        self._is_dead, self.is_hanging = True, is_hanging
        await asyncio.sleep(0)
        return self._ending

    def _schedule(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._is_due = False
        if self._is_dead or self.is_stopped or not self.engine.has_work:
            return
        try:
            turn = self.engine.turn()
        except RuntimeError:  # as a process it would end
            self.die(CRASH, self.page.in_hand)
            return
        answer = ANSWERS.decode(bytes(frame(turn))[LENGTH_BYTES:])
        assert isinstance(answer, Turn)
        self.on_turn(answer)
        self._schedule()


class FakeLauncher:
    """Launches engines over one runner, or fails as often as it is told."""

    def __init__(self, runner: FakeRunner, config: EngineConfig) -> None:
        self._runner = runner
        self._config = config
        self.launched: list[FakeProcess] = []
        self.num_failures = 0  # to come
        self.num_refusals = 0  # by the system
        self.may_launch = asyncio.Event()
        self.may_launch.set()
        self.is_closed = False

    async def launch(self) -> tuple[FakeProcess, Loaded]:
        await self.may_launch.wait()
        if self.num_refusals:
            self.num_refusals -= 1
            raise NoProcessError("no process")
        if self.num_failures:
            self.num_failures -= 1
            raise ModelTrialError("cannot be loaded")
        self.launched.append(FakeProcess(self._runner, self._config))
        return self.launched[-1], LOADED

    def close(self) -> None:
        self.is_closed = True
