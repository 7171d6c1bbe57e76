"""Replies to many prompts, on both clients."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from lstmserve_client import (
    InvalidRequestError,
    LstmserveError,
    Prompt,
    Reply,
    ServerError,
    async_batches,
)
from lstmserve_client.testing import FakeRequest, FakeService

Results = list[Reply | LstmserveError]


def _sync(service: FakeService, *args: Any, **options: Any) -> Results:  # noqa: ANN401 - what the method takes
    return list(service.client().reply_many(*args, **options))


def _async(service: FakeService, *args: Any, **options: Any) -> Results:  # noqa: ANN401 - what the method takes
    async def run() -> Results:
        return [each async for each in service.async_client().reply_many(*args, **options)]

    return asyncio.run(run())


@pytest.fixture(params=[_sync, _async], ids=["sync", "async"])
def reply_many(request: pytest.FixtureRequest) -> Callable[..., Results]:
    """All results of a new client of a service."""
    reply_many: Callable[..., Results] = request.param
    return reply_many


def texts(results: Results) -> list[str]:
    return [each.text if isinstance(each, Reply) else type(each).__name__ for each in results]


def test_replies_come_in_the_order_of_the_prompts(reply_many: Callable[..., Results]) -> None:
    service = FakeService()
    prompts = [str(number) for number in range(100)]
    results = reply_many(service, prompts, concurrency=3, max_tokens=3, request_id="job")
    assert texts(results) == [f"You said: {prompt}" for prompt in prompts]
    assert {request.stopping.max_tokens for request in service.requests} == {3}
    started = [each.started.request_id for each in results if isinstance(each, Reply)]
    assert started == [f"job-{number}" for number in range(100)]
    assert reply_many(service, []) == []


def test_what_is_wrong_with_one_stands_in_its_place(reply_many: Callable[..., Results]) -> None:
    service = FakeService()

    def answer(request: FakeRequest) -> str:
        if request.text == "bad":
            raise ServerError("bug")
        return "Hello."

    service.answer_with(answer)
    results = reply_many(service, ["hi", "bad", None, "\ud800", "bye"], concurrency=2)
    wrong = ["ServerError", "InvalidRequestError", "InvalidRequestError"]
    assert texts(results) == ["Hello.", *wrong, "Hello."]
    assert str(results[2]).startswith("prompt: must be text")


def test_errors_are_raised_in_their_place_if_that_is_wanted() -> None:
    service = FakeService()
    replies = service.client().reply_many(["hi", "\ud800", "bye"], raise_errors=True)
    assert next(replies).text == "You said: hi"
    with pytest.raises(InvalidRequestError, match=r"^prompt: "):
        next(replies)
    assert list(replies) == []


async def test_errors_are_raised_in_their_place_if_that_is_wanted_on_a_loop() -> None:
    service = FakeService()
    replies = service.async_client().reply_many(["hi", None], raise_errors=True)  # type: ignore[list-item]
    assert (await anext(replies)).text == "You said: hi"
    with pytest.raises(TypeError, match=r"^prompt: "):
        await anext(replies)


def failing() -> Iterator[str]:
    yield from ("a", "b")
    raise KeyError("no more")


def test_what_the_prompts_raise_comes_behind_the_replies_to_those_before() -> None:
    replies = FakeService().client().reply_many(failing())
    assert texts([next(replies), next(replies)]) == ["You said: a", "You said: b"]
    with pytest.raises(KeyError, match="no more"):
        next(replies)


async def test_what_the_prompts_raise_comes_behind_the_replies_to_those_before_on_a_loop() -> None:
    replies = FakeService().async_client().reply_many(failing())
    assert texts([await anext(replies), await anext(replies)]) == ["You said: a", "You said: b"]
    with pytest.raises(KeyError, match="no more"):
        await anext(replies)


def test_a_name_without_room_for_numbers_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"^request_id: must have 1 to 48 "):
        FakeService().client().reply_many([], request_id="x" * 49)
    name = "x" * 48
    results = _sync(FakeService(), ["a"], request_id=name)
    assert [each.started.request_id for each in results if isinstance(each, Reply)] == [f"{name}-0"]


def counting(taken: list[int]) -> Iterator[str]:
    """Prompts without end; ``taken`` gets the number of each that is asked for."""
    for number in itertools.count():
        taken.append(number)
        yield str(number)


def test_prompts_without_end_are_taken_few_at_a_time() -> None:
    taken: list[int] = []
    replies = FakeService().client().reply_many(counting(taken), concurrency=2)
    assert taken == []
    for number in range(50):
        next(replies)
        assert len(taken) <= number + 9
    replies.close()
    assert len(taken) < 60


async def test_prompts_without_end_are_taken_few_at_a_time_on_a_loop() -> None:
    taken: list[int] = []
    replies = FakeService().async_client().reply_many(counting(taken), concurrency=2)
    for number in range(50):
        await anext(replies)
        assert len(taken) <= number + 9
    await replies.aclose()
    assert len(taken) < 60


def test_as_many_run_at_the_same_time_as_are_allowed_and_no_more() -> None:
    service = FakeService()
    together = threading.Barrier(3)  # which opens for three alone
    running: list[int] = []
    most = []

    def answer(request: FakeRequest) -> str:
        running.append(1)
        most.append(len(running))
        together.wait()
        running.pop()
        return request.text

    service.answer_with(answer)
    results = _sync(service, [str(number) for number in range(12)], concurrency=3)
    assert texts(results) == [str(number) for number in range(12)]
    assert max(most) == 3


async def test_as_many_run_at_the_same_time_as_are_allowed_and_no_more_on_a_loop() -> None:
    together = asyncio.Barrier(3)
    running: list[int] = []
    most = []

    async def ask(number: int, prompt: Prompt) -> int:
        running.append(number)
        most.append(len(running))
        await together.wait()
        running.pop()
        return number

    found = [each async for each in async_batches.in_order(ask, ["hi"] * 12, 3)]
    assert found == list(range(12))
    assert max(most) == 3


async def test_to_close_the_iterator_cancels_what_runs() -> None:
    cancelled = []

    async def ask(number: int, prompt: Prompt) -> int:
        if number == 0:
            return number
        try:
            await asyncio.Event().wait()  # for ever
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return number

    replies = async_batches.in_order(ask, ["hi"] * 12, 3)
    assert await anext(replies) == 0
    await asyncio.sleep(0)  # the others begin
    await replies.aclose()
    assert 1 in cancelled
    assert len(cancelled) <= 3


async def test_a_reply_is_not_kept_back_until_further_prompts_come() -> None:
    answered = asyncio.Event()

    async def prompts() -> AsyncIterator[str]:
        yield "hi"
        await answered.wait()  # for the reply to the first
        yield "bye"

    found = []
    async for each in FakeService().async_client().reply_many(prompts()):
        found.append(each)
        answered.set()
    assert texts(found) == ["You said: hi", "You said: bye"]


@pytest.mark.parametrize(
    ("kind", "told", "arguments", "options"),
    [
        (TypeError, "temprature: ", [["hi"]], {"temprature": 1}),
        (TypeError, "prompts: must be several", ["hi"], {}),
        (TypeError, "prompts: must be several", [None], {}),
        (ValueError, "concurrency: must be a whole number above 0", [["hi"]], {"concurrency": 0}),
        (ValueError, "sampling.seed: ", [["hi"]], {"seed": -1}),
    ],
)
def test_what_is_wrong_with_all_is_raised_at_once(
    kind: type[Exception], told: str, arguments: list[Any], options: dict[str, Any]
) -> None:
    service = FakeService()
    for client in (service.client(), service.async_client()):
        with pytest.raises(kind, match=f"^{told}"):
            client.reply_many(*arguments, **options)
    assert service.requests == []
