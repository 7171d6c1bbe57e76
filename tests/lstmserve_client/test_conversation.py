"""Chats that remember their turns, on both clients."""

from __future__ import annotations

import pytest

from lstmserve_client import RequestOptions, SamplingParams, ServerError, Turn, UnavailableError
from lstmserve_client.testing import FakeReply, FakeService

TWO = (
    Turn("user", "hi"),
    Turn("agent", "You said: hi"),
    Turn("user", "why?"),
    Turn("agent", "You said: why?"),
)


def test_every_question_brings_what_was_said_before() -> None:
    service = FakeService()
    chat = service.client().conversation()
    assert chat.reply("hi").text == "You said: hi"
    assert "".join(chat.generate("why?").text) == "You said: why?"
    assert chat.turns == TWO
    assert [request.prompt for request in service.requests] == [TWO[:1], TWO[:3]]


async def test_every_question_brings_what_was_said_before_on_a_loop() -> None:
    service = FakeService()
    chat = service.async_client().conversation()
    assert (await chat.reply("hi")).text == "You said: hi"
    assert [piece async for piece in chat.generate("why?").text] == ["You", " said:", " why?"]
    assert chat.turns == TWO
    assert [request.prompt for request in service.requests] == [TWO[:1], TWO[:3]]


def test_it_goes_on_from_turns_and_is_reset() -> None:
    service = FakeService()
    chat = service.client().conversation(TWO)
    chat.reply("and?")
    assert service.requests[0].prompt == (*TWO, Turn("user", "and?"))
    chat.reset()
    assert chat.turns == ()


def test_its_options_are_those_of_every_reply_unless_one_says_otherwise() -> None:
    service = FakeService()
    options = RequestOptions(model_version="1", sampling=SamplingParams(seed=1))
    chat = service.client().conversation(**options)
    chat.reply("hi")
    chat.reply("hi", sampling=SamplingParams(seed=2))
    seeds = [request.sampling.seed for request in service.requests]
    assert seeds == [1, 2]
    assert {request.model_version for request in service.requests} == {"1"}


def test_a_question_without_a_whole_reply_is_forgotten() -> None:
    service = FakeService({"nothing": FakeReply("")})
    chat = service.client().conversation()
    service.fail_next(ServerError("bug"))
    with pytest.raises(ServerError):
        chat.reply("hi")
    with chat.generate("hi") as stream:
        next(stream)
    chat.reply("nothing")
    assert chat.turns == ()
    assert len(service.cancelled) == 1


async def test_a_question_without_a_whole_reply_is_forgotten_on_a_loop() -> None:
    service = FakeService()
    chat = service.async_client().conversation()
    service.fail_next(ServerError("bug"))
    with pytest.raises(ServerError):
        await chat.reply("hi")
    async with chat.generate("hi") as stream:
        await anext(stream)
    assert chat.turns == ()
    assert len(service.cancelled) == 1


def test_a_reply_that_was_cut_is_remembered_whole() -> None:
    service = FakeService()
    service.fail_next(UnavailableError("lost"))
    service.break_next(after_tokens=2)
    chat = service.client().conversation()
    chat.generate("hi").reply()
    assert chat.turns == TWO[:2]
