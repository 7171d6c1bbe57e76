"""What a client tells of its calls when they have ended; every test runs with each client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from lstmserve_client import (
    AsyncClient,
    CallRecord,
    Choices,
    Client,
    InvalidRequestError,
    JsonSchema,
    RetryPolicy,
    UnavailableError,
    methods,
)
from lstmserve_client.attempts import Attempts, Patience
from lstmserve_client.call import make_call
from lstmserve_client.config import make_config
from lstmserve_client.recording import Recording
from lstmserve_client.testing import FakeClock, FakeService

Result = TypeVar("Result")
QUESTION, REPLY = "Where is my order?", "It is on its way."


class Records(list[CallRecord]):
    """What was told, by one of the clients that are made here."""

    def __init__(self, service: FakeService, kind: str) -> None:
        super().__init__()
        self._service, self._kind = service, kind

    def run(self, call: Callable[[Any], Any], **options: Any) -> Any:  # noqa: ANN401 - of any client
        """Give a client to ``call``, and wait for its result, however long that takes."""
        if self._kind == "sync":
            with self._service.client(on_call_end=self.append, **options) as client:
                return call(client)

        async def wait() -> Any:  # noqa: ANN401 - as above
            async with self._service.async_client(on_call_end=self.append, **options) as client:
                return await call(client)

        return asyncio.run(wait())

    def stream(self, count: int | None, **options: Any) -> None:  # noqa: ANN401 - of any client
        """Take so many events of a stream and leave it; all of them where ``None``."""

        def take(client: Client) -> None:
            with client.generate(QUESTION) as stream:
                for number, _ in enumerate(stream, 1):
                    if number == count:
                        break

        async def take_on_a_loop(client: AsyncClient) -> None:
            async with client.generate(QUESTION) as stream:
                number = 0
                async for _ in stream:
                    number += 1
                    if number == count:
                        break

        self.run(take if self._kind == "sync" else take_on_a_loop, **options)


@pytest.fixture
def service() -> FakeService:
    return FakeService({QUESTION: REPLY})


@pytest.fixture(params=["sync", "async"])
def records(request: pytest.FixtureRequest, service: FakeService) -> Records:
    return Records(service, request.param)


def test_a_whole_reply_is_told_once(records: Records) -> None:
    reply = records.run(lambda client: client.reply(QUESTION, request_id="mine"))
    [record] = records
    assert (record.method, record.request_id) == ("GenerateReply", "mine")
    assert (record.started, record.completion) == (reply.started, reply.completion)
    assert (record.num_attempts, record.error, record.was_canceled) == (1, None, False)
    assert (record.first_chunk_seconds, record.duration_seconds) == (None, 0)
    assert record.target == "127.0.0.1:50051"
    assert record.generated_tokens == reply.completion.usage.generated_tokens > 0


def test_a_stream_is_told_at_its_end(records: Records, service: FakeService) -> None:
    service.delay_next(0.5)
    records.stream(None)
    [record] = records
    assert (record.method, record.was_canceled) == ("Generate", False)
    assert record.started is not None
    assert record.completion is not None
    assert (record.first_chunk_seconds, record.duration_seconds) == (0.5, 0.5)


@pytest.mark.parametrize(("count", "has_chunk"), [(1, False), (2, True)])
def test_a_stream_that_is_left_was_canceled(records: Records, count: int, has_chunk: bool) -> None:
    records.stream(count)
    [record] = records
    assert record.was_canceled
    assert (record.completion, record.error) == (None, None)
    assert (record.first_chunk_seconds is not None) == has_chunk


def test_a_stream_that_is_left_behind_its_completion_was_not(records: Records) -> None:
    records.stream(100)
    whole = len(list(FakeService({QUESTION: REPLY}).client().generate(QUESTION)))
    records.clear()
    records.stream(whole)
    [record] = records
    assert not record.was_canceled
    assert record.completion is not None


async def test_a_stream_that_nobody_reads_is_no_call(service: FakeService) -> None:
    told: list[CallRecord] = []
    with service.client(on_call_end=told.append) as client, client.generate(QUESTION):
        pass
    async with service.async_client(on_call_end=told.append) as other, other.generate(QUESTION):
        pass
    assert told == []


def test_attempts_are_one_record(records: Records, service: FakeService) -> None:
    service.break_next(after_tokens=2)
    service.overload(retry_delay_seconds=1.5)
    records.stream(None)
    [record] = records
    assert (record.num_attempts, record.error) == (3, None)
    assert record.completion is not None
    assert record.duration_seconds >= 1.5


def test_a_failure_is_told_as_the_caller_sees_it(records: Records, service: FakeService) -> None:
    service.fail_next(UnavailableError("no network"), times=100)
    with pytest.raises(UnavailableError) as caught:
        records.run(lambda client: client.reply(QUESTION), retry=RetryPolicy(max_attempts=2))
    [record] = records
    assert record.error is caught.value
    assert (record.num_attempts, record.was_canceled, record.started) == (2, False, None)


def test_a_value_that_cannot_be_read_is_an_error(records: Records) -> None:
    schema = JsonSchema({"type": "integer"})  # the fake's replies are no values
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - whatever reads JSON says
        records.run(lambda client: client.reply(QUESTION, constraint=schema))
    [record] = records
    assert record.error is caught.value


def test_what_is_no_reply_is_told_as_well(records: Records, service: FakeService) -> None:
    service.fail_next(InvalidRequestError("prompt: must not be empty"))
    with pytest.raises(InvalidRequestError):
        records.run(lambda client: client.reply(QUESTION, constraint=Choices(["a", "b"])))
    records.run(lambda client: client.models())
    records.run(lambda client: client.health())
    assert [each.method for each in records] == ["GenerateReply", "ListModels", "Check"]


def test_an_observer_that_fails_spoils_no_call(
    service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(record: CallRecord) -> None:
        raise RuntimeError("no disk")

    with service.client(on_call_end=fail) as client:
        assert client.reply(QUESTION).text == REPLY
        assert client.generate(QUESTION).reply().text == REPLY
    [first, _] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert first.getMessage() == "on_call_end failed"
    assert first.exc_info is not None


def test_an_observer_that_is_no_function_is_refused(service: FakeService) -> None:
    with pytest.raises(TypeError, match="on_call_end: must be a function of a CallRecord, not str"):
        service.client(on_call_end="print")  # type: ignore[arg-type]


async def test_a_task_that_is_cancelled_is_told(service: FakeService) -> None:
    told: list[CallRecord] = []
    reached = asyncio.Event()

    class Waiting:
        async def unary(self, *_: object) -> None:
            reached.set()
            await asyncio.Event().wait()

        async def close(self) -> None: ...

    async with AsyncClient(transport=Waiting(), on_call_end=told.append) as client:  # type: ignore[arg-type]
        task: asyncio.Task[Any] = asyncio.ensure_future(_as_coroutine(client.reply(QUESTION)))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    [record] = told
    assert record.was_canceled
    assert record.num_attempts == 1


async def _as_coroutine(awaited: Awaitable[Result]) -> Result:
    return await awaited


def test_the_tokens_of_all_replies_are_counted(service: FakeService) -> None:
    told: list[CallRecord] = []
    recording = Recording(_attempts(told.append), methods.GENERATE_REPLY)
    reply = service.client().reply(QUESTION)
    with recording:
        recording.saw(replace(reply, alternatives=(reply, reply)))
    assert told[0].generated_tokens == 3 * reply.completion.usage.generated_tokens
    assert told[0].completion == reply.completion


def _attempts(observer: Callable[[CallRecord], object]) -> Attempts:
    config = make_config("127.0.0.1:50051", on_call_end=observer)
    return Attempts(Patience.begin(config.retry, 1, FakeClock().now), make_call(config, {}))
