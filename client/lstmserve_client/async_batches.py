"""Replies to many prompts, in their order: a method of the asynchronous client."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
)
from typing import Any, Literal, TypeVar, Unpack, overload

from lstmserve_client.batches import READ_AHEAD, check, in_place, numbered
from lstmserve_client.errors import LstmserveError
from lstmserve_client.keywords import WholeReplyOptions
from lstmserve_client.signatures import spelled_out
from lstmserve_client.types import Prompt, Reply

Result = TypeVar("Result")
_END = object()  # of the prompts


class AsyncBatches(ABC):
    """What is built on ``reply``."""

    @abstractmethod
    async def reply(self, prompt: Prompt, **options: Unpack[WholeReplyOptions]) -> Reply: ...

    @overload
    def reply_many(
        self,
        prompts: Iterable[Prompt] | AsyncIterable[Prompt],
        *,
        concurrency: int = 8,
        raise_errors: Literal[True],
        **options: Unpack[WholeReplyOptions],
    ) -> AsyncGenerator[Reply, None]: ...

    @overload
    def reply_many(
        self,
        prompts: Iterable[Prompt] | AsyncIterable[Prompt],
        *,
        concurrency: int = 8,
        raise_errors: bool = False,
        **options: Unpack[WholeReplyOptions],
    ) -> AsyncGenerator[Reply | LstmserveError, None]: ...

    @spelled_out
    def reply_many(
        self,
        prompts: Iterable[Prompt] | AsyncIterable[Prompt],
        *,
        concurrency: int = 8,
        raise_errors: bool = False,
        **options: Unpack[WholeReplyOptions],
    ) -> AsyncGenerator[Reply | LstmserveError, None]:
        """As ``Client.reply_many``; prompts may come from an asynchronous generator as well.

        To close the iterator, or to cancel the task, cancels the replies that run.
        """
        check(prompts, concurrency, options)

        async def ask(number: int, prompt: Prompt) -> Reply | LstmserveError:
            try:
                return await self.reply(prompt, **numbered(options, number))
            except (LstmserveError, TypeError) as error:
                return in_place(error, raise_errors=raise_errors)

        return in_order(ask, prompts, concurrency)


async def in_order(
    ask: Callable[[int, Prompt], Coroutine[Any, Any, Result]],
    prompts: Iterable[Prompt] | AsyncIterable[Prompt],
    concurrency: int,
) -> AsyncGenerator[Result, None]:
    """Ask for as many at the same time as ``concurrency`` says, by tasks.

    A result that is there is not kept back until further prompts come. What the prompts raise is
    raised behind the results of those that came before.
    """
    room = asyncio.Semaphore(concurrency)

    async def ask_in_turn(number: int, prompt: Prompt) -> Result:
        async with room:
            return await ask(number, prompt)

    source = _numbered(prompts)
    coming: asyncio.Future[Any] | None = None
    asked: deque[asyncio.Task[Result]] = deque()
    is_over = False
    failure: Exception | None = None
    try:
        while not (is_over and not asked):
            if coming is None and not is_over and len(asked) < concurrency * READ_AHEAD:
                coming = asyncio.ensure_future(anext(source, _END))
            waited = [each for each in (coming, *list(asked)[:1]) if each is not None]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if coming is not None and coming.done():
                failure = _failure_of(coming)
                found: Any = _END if failure else coming.result()
                coming, is_over = None, found is _END
                if not is_over:
                    asked.append(asyncio.create_task(ask_in_turn(*found)))
            if asked and asked[0].done():
                yield asked.popleft().result()
        if failure:
            raise failure
    finally:
        left = [*asked, *([coming] if coming else [])]
        for each in left:
            each.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def _failure_of(coming: asyncio.Future[Any]) -> Exception | None:
    """What the prompts have raised; other exceptions end the task itself."""
    error = None if coming.cancelled() else coming.exception()
    return error if isinstance(error, Exception) else None


async def _numbered(
    prompts: Iterable[Prompt] | AsyncIterable[Prompt],
) -> AsyncIterator[tuple[int, Prompt]]:
    number = 0
    if isinstance(prompts, AsyncIterable):
        async for prompt in prompts:
            yield number, prompt
            number += 1
    else:
        for number, prompt in enumerate(prompts):
            yield number, prompt
