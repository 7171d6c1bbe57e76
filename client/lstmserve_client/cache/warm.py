"""Many requests to store replies, a bounded number of them at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from lstmserve_client.async_client import AsyncClient
from lstmserve_client.cache.prompts import PromptLine
from lstmserve_client.errors import LstmserveError, OverloadedError
from lstmserve_client.keywords import (
    RequestOptions,
)
from lstmserve_client.options import ServerOptions
from lstmserve_client.types import (
    CacheWarmed,
    Priority,
)

MAX_ATTEMPTS = 10
UNTOLD_DELAY_SECONDS = 1.0  # where a server that is too busy does not say when to come back

Result: TypeAlias = CacheWarmed | LstmserveError
Warm: TypeAlias = Callable[[PromptLine], Awaitable[CacheWarmed]]
OnResult: TypeAlias = Callable[[PromptLine, Result], None]
Sleep: TypeAlias = Callable[[float], Awaitable[None]]


def run_warming(
    lines: Sequence[PromptLine], server: ServerOptions, concurrency: int, on_result: OnResult
) -> None:
    """Store the replies to all lines; those who ask for replies meanwhile go first."""

    async def run() -> None:
        async with AsyncClient(server.targets, **server.client_options) as client:

            def warm(line: PromptLine) -> Awaitable[CacheWarmed]:
                options: RequestOptions = {**line.options, "priority": Priority.LOW}
                return client.warm_cache(line.prompt, timeout_seconds=server.timeout, **options)

            await warm_all(lines, warm, on_result, concurrency=concurrency)

    asyncio.run(run())


async def warm_all(
    lines: Sequence[PromptLine],
    warm: Warm,
    on_result: OnResult,
    *,
    concurrency: int,
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Tell the result of each line as it comes; a line that fails does not stop the others."""
    waiting = iter(lines)

    async def work() -> None:
        for line in waiting:
            on_result(line, await _result(line, warm, sleep))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(lines))):
            group.create_task(work())


async def _result(line: PromptLine, warm: Warm, sleep: Sleep) -> Result:
    """Try again as long as the server is too busy, within reason."""
    attempts = 0
    while True:
        attempts += 1
        try:
            return await warm(line)
        except OverloadedError as error:
            if attempts == MAX_ATTEMPTS:
                return error
            delay = error.retry_delay_seconds
        except LstmserveError as error:
            return error
        await sleep(UNTOLD_DELAY_SECONDS if delay is None else delay)
