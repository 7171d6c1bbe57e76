"""What a user writes: mypy finds nothing in it."""

import asyncio
from typing import assert_type

import lstmserve
from lstmserve_client import (
    AsyncClient,
    AsyncReplyStream,
    Chunk,
    Client,
    ClientOptions,
    Completion,
    GenerateOptions,
    HedgePolicy,
    LstmserveError,
    Model,
    OverloadedError,
    Reply,
    ReplyStream,
    RequestOptions,
    RetryPolicy,
    SamplingParams,
    ServingStatus,
    Started,
    Tls,
    Turn,
)
from lstmserve_client.testing import FakeReply, FakeRequest, FakeService

OPTIONS = ClientOptions(
    tls=Tls(),
    token=lambda: "secret",
    caller="shop",
    metadata={"x-team": "a"},
    timeout_seconds=5.0,
    retry=RetryPolicy(max_attempts=3),
    hedge=HedgePolicy(quantile=0.9),
)
HOW = RequestOptions(sampling=SamplingParams(seed=7))


def ask() -> None:
    assert_type(lstmserve.Client(), Client)
    with Client(["a:1", "b:1"], **OPTIONS) as client:
        assert_type(client.reply("hi", timeout_seconds=1.0, **HOW), Reply)
        assert_type(client.reply("hi", temperature=0.2, seed=7, stop="END", model_version=2), Reply)
        assert_type(client.reply([{"role": "user", "content": "hi"}], cache_mode="bypass"), Reply)
        parts = [{"type": "text", "text": "hi"}]
        assert_type(client.reply([{"role": "user", "content": parts}]), Reply)
        assert_type(next(client.reply_many(["hi"], concurrency=2)), Reply | LstmserveError)
        assert_type(list(client.reply_many(["hi"], raise_errors=True, seed=7)), list[Reply])
        assert_type(client.models(), list[Model])
        assert_type(client.health(), ServingStatus)
        stream = client.generate([Turn("user", "hi")], request_id="mine")
        assert_type(stream, ReplyStream)
        for event in stream:
            match event:
                case Started():
                    assert_type(event.seed, int)
                case Chunk():
                    assert_type(event.token_ids, tuple[int, ...])
                case Completion():
                    assert_type(event.labels, tuple[str, ...])
        chat = client.conversation(max_turns=8, **HOW)
        assert_type(list(chat.generate("hi").text), list[str])


async def ask_on_a_loop(options: GenerateOptions) -> None:
    async with AsyncClient(**OPTIONS) as client:
        assert_type(await client.reply("hi", **options), Reply)
        async with client.generate("hi") as stream:
            assert_type(stream, AsyncReplyStream)
            assert_type([piece async for piece in stream.text], list[str])
            assert_type(await stream.reply(), Reply)
        chat = client.conversation()
        assert_type(await chat.reply("hi"), Reply)


def handle() -> float | None:
    try:
        ask()
    except OverloadedError as error:
        return error.retry_delay_seconds
    except LstmserveError as error:
        assert_type(error.request_id, str | None)
    return None


def test() -> None:
    service = FakeService({"hi": FakeReply("Hello.")})
    service.answer_with(lambda request: request.text)
    assert_type(service.client(retry=RetryPolicy()), Client)
    assert_type(service.async_client(), AsyncClient)
    assert_type(service.requests, list[FakeRequest])


if __name__ == "__main__":
    ask()
    asyncio.run(ask_on_a_loop(GenerateOptions()))
