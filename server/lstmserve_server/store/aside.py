"""Reads the store on threads that nobody waits for.

A network file system that is gone may keep who reads it for ever. The server must end all the
same, and the threads of ``asyncio.to_thread`` would not let it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def read_aside(read: Callable[[], T]) -> T:
    """What a function returns or raises, called on a thread of its own."""
    answer: Future[T] = Future()
    answer.set_running_or_notify_cancel()  # from now on it takes an answer, wanted or not
    threading.Thread(target=_answer, args=(read, answer), name="store", daemon=True).start()
    return await asyncio.wrap_future(answer)


def _answer(read: Callable[[], T], answer: Future[T]) -> None:
    try:
        answer.set_result(read())
    except BaseException as error:  # noqa: BLE001 - whoever waits is to see it
        answer.set_exception(error)
