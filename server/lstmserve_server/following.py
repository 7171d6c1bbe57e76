"""Follows what lies in files, on threads that nobody waits for.

A network file system that is gone may keep who reads it for ever. The server must end all the
same, and the threads of ``asyncio.to_thread`` would not let it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lstmserve_server.errors import StartupError
from lstmserve_server.failures import Trouble
from lstmserve_server.threads import start_thread

T = TypeVar("T")
Raw = TypeVar("Raw")
Parsed = TypeVar("Parsed")


async def read_on_thread(read: Callable[[], T]) -> T:
    """What a function returns or raises, called on a thread of its own.

    Raises NoThreadError when there can be none.
    """
    answer: Future[T] = Future()
    answer.set_running_or_notify_cancel()  # from now on it takes an answer, wanted or not
    thread = threading.Thread(target=_answer, args=(read, answer), name="file-reader", daemon=True)
    start_thread(thread)
    return await asyncio.wrap_future(answer)


async def unless_stopped(stopping: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What it returns; ``None`` when told to stop meanwhile, for it may take minutes."""
    working = asyncio.create_task(work)
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not stopping.is_set():
        return await working
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return None


def _answer(read: Callable[[], T], answer: Future[T]) -> None:
    try:
        answer.set_result(read())
    except BaseException as error:  # noqa: BLE001 - whoever waits is to see it
        answer.set_exception(error)


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the files came to."""

    is_new: bool = False  # something else is in force
    trouble: str = ""  # why what lies there cannot be used
    is_news: bool = False  # the trouble was not there before


class Followed(Generic[Raw, Parsed]):
    """What files hold, parsed. What is new is taken when it can be used; until then the old one
    stays in force.

    Contents are compared, not times: it does not matter how files are replaced, and times of
    change are coarse on some mounts.
    """

    def __init__(
        self, read: Callable[[], Raw], parse: Callable[[Raw], Parsed], looks_until_news: int = 1
    ) -> None:
        """Both raise StartupError, and so does this."""
        self._read = read
        self._parse = parse
        self._raw = read()
        self._trouble = Trouble(looks_until_news)
        self.current = parse(self._raw)  # any thread may ask

    def look(self) -> Look:
        """Take what is new; waits for the files, so call it aside, and one call at a time."""
        try:
            raw = self._read()
            is_new = raw != self._raw
            if is_new:
                self.current, self._raw = self._parse(raw), raw
        except StartupError as error:
            return self.miss(error)
        self._trouble.ended()
        return Look(is_new)

    def miss(self, error: StartupError) -> Look:
        """Note that a look was in vain, or that nobody could look."""
        return Look(trouble=str(error), is_news=self._trouble.found(str(error)))
