"""The first answer of two calls, for an event loop."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from lstmserve_client.errors import LstmserveError

Result = TypeVar("Result")


async def race(
    begin: Callable[[], Coroutine[Any, Any, Result]],
    begin_second: Callable[[], Coroutine[Any, Any, Result] | None],
    delay_seconds: float,
) -> Result:
    """As ``race.race``."""
    running = {asyncio.ensure_future(begin())}
    try:
        ended, _ = await asyncio.wait(running, timeout=delay_seconds)
        second = None if ended else begin_second()
        if second is not None:
            running.add(asyncio.ensure_future(second))
        return await _first_answer(running)
    finally:
        for call in running:
            call.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _first_answer(running: set["asyncio.Task[Result]"]) -> Result:
    coming = asyncio.as_completed(running)
    for _ in range(len(running) - 1):
        try:
            return await next(coming)
        except LstmserveError:
            continue
    return await next(coming)
