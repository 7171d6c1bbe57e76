"""Several requests of one stream at a time, and all their responses on it. Knows no grpc."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from typing import TypeVar

Request = TypeVar("Request")
Response = TypeVar("Response")


async def multiplex(
    requests: AsyncIterable[Request],
    answer: Callable[[Request], AsyncGenerator[Response]],
    max_running: int,
) -> AsyncGenerator[Response]:
    """Yield the responses to all requests, as they come: in order to each, mixed between them.

    No more than ``max_running`` requests are taken at a time, and no response is asked for
    before the last one is gone: whoever sends too much or reads too slowly waits. Each request
    is answered by a task of its own; closing the stream ends them.
    """
    responses: asyncio.Queue[Response | _End] = asyncio.Queue()
    room = asyncio.Semaphore(1)  # a bounded queue could not be told of the end when it is full
    places = asyncio.Semaphore(max_running)

    async def run(request: Request) -> None:
        try:
            async with aclosing(answer(request)) as found:
                async for response in found:
                    await room.acquire()
                    responses.put_nowait(response)
        finally:
            places.release()

    async def run_all() -> None:
        async with asyncio.TaskGroup() as running:
            await places.acquire()
            async for request in requests:
                running.create_task(run(request))
                await places.acquire()

    task = asyncio.create_task(run_all())
    task.add_done_callback(lambda _: responses.put_nowait(_End()))
    try:
        while not isinstance(response := await responses.get(), _End):
            yield response
            room.release()
        await task
    finally:
        task.cancel()
        await asyncio.wait([task])


class _End:
    """Of all responses."""
