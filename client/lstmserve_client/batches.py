"""Replies to many prompts, in their order: a method of the synchronous client."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterable, Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, Literal, TypeVar, Unpack, cast, overload

from lstmserve_client import calls
from lstmserve_client.checks import check_type
from lstmserve_client.errors import InvalidRequestError, LstmserveError
from lstmserve_client.keywords import WholeReplyOptions
from lstmserve_client.signatures import spelled_out
from lstmserve_client.types import Prompt, Reply

Result = TypeVar("Result")
# so many prompts are taken for each that is answered at the same time: behind a slow one, others
# go on
READ_AHEAD = 4
MAX_REQUEST_ID = 48  # characters, which leaves room for any number


class Batches(ABC):
    """What is built on ``reply``."""

    @abstractmethod
    def reply(self, prompt: Prompt, **options: Unpack[WholeReplyOptions]) -> Reply: ...

    @overload
    def reply_many(
        self,
        prompts: Iterable[Prompt],
        *,
        concurrency: int = 8,
        raise_errors: Literal[True],
        **options: Unpack[WholeReplyOptions],
    ) -> Generator[Reply, None, None]: ...

    @overload
    def reply_many(
        self,
        prompts: Iterable[Prompt],
        *,
        concurrency: int = 8,
        raise_errors: bool = False,
        **options: Unpack[WholeReplyOptions],
    ) -> Generator[Reply | LstmserveError, None, None]: ...

    @spelled_out
    def reply_many(
        self,
        prompts: Iterable[Prompt],
        *,
        concurrency: int = 8,
        raise_errors: bool = False,
        **options: Unpack[WholeReplyOptions],
    ) -> Generator[Reply | LstmserveError, None, None]:
        """Iterate over the replies to any number of prompts, in their order.

            >>> [reply.text for reply in client.reply_many(["Where is my order?", "Thanks"])]
            ['On its way.', 'You said: Thanks']

        ``concurrency`` of them are asked for at the same time. What is wrong with one stands in
        its place, as a LstmserveError; with ``raise_errors`` it is raised there. Prompts may come
        from a generator without end: few are held at a time. ``request_id`` gets each one's
        number. To close the iterator is to ask for no further ones. What a generator of prompts
        raises is raised behind the replies to those that it gave.
        """
        check(prompts, concurrency, options)

        def ask(number: int, prompt: Prompt) -> Reply | LstmserveError:
            try:
                return self.reply(prompt, **numbered(options, number))
            except (LstmserveError, TypeError) as error:
                return in_place(error, raise_errors=raise_errors)

        return in_order(ask, prompts, concurrency)


def check(prompts: object, concurrency: int, options: WholeReplyOptions) -> None:
    """Raise ValueError or TypeError now for what is wrong with all of them, or with late ones."""
    if not isinstance(prompts, AsyncIterable):
        calls.check_several(prompts)
    check_type("concurrency", concurrency, int)
    if concurrency < 1:
        raise ValueError(f"concurrency: must be a whole number above 0, not {concurrency}")
    calls.reply("", options)
    if len(options.get("request_id") or "") > MAX_REQUEST_ID:
        raise ValueError(
            f"request_id: must have 1 to {MAX_REQUEST_ID} characters here, and gets each number"
        )


def numbered(options: WholeReplyOptions, number: int) -> WholeReplyOptions:
    """The options of one prompt."""
    request_id = options.get("request_id")
    own: dict[str, Any] = {"request_id": f"{request_id}-{number}"} if request_id else {}
    return cast("WholeReplyOptions", {**options, **own})


def in_place(error: LstmserveError | TypeError, *, raise_errors: bool) -> LstmserveError:
    """What stands for a reply; raises it instead if that is wanted."""
    if raise_errors:
        raise error
    # options are right, so a TypeError is about the prompt
    return error if isinstance(error, LstmserveError) else InvalidRequestError(str(error))


def in_order(
    ask: Callable[[int, Prompt], Result], prompts: Iterable[Prompt], concurrency: int
) -> Generator[Result, None, None]:
    """Ask for as many at the same time as ``concurrency`` says, from threads.

    What the prompts raise is raised behind the results of those that came before.
    """
    coming = enumerate(prompts)
    failure: Exception | None = None
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="lstmserve")
    asked: deque[Future[Result]] = deque()
    try:
        while True:
            room = 0 if failure else concurrency * READ_AHEAD - len(asked)
            try:
                for each in islice(coming, room):
                    asked.append(pool.submit(ask, *each))
            except Exception as error:  # noqa: BLE001 - whatever the prompts raise
                failure = error
            if asked:
                yield asked.popleft().result()
            elif failure:
                raise failure
            else:
                return
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
