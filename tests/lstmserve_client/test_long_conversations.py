"""Chats of which the latest turns alone are kept, on both clients."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from lstmserve_client import FieldViolation, InvalidRequestError, Turn
from lstmserve_client.testing import FakeRequest, FakeService

MAX_CHARACTERS = 60


def exchange(text: str) -> tuple[Turn, Turn]:
    return Turn("user", text), Turn("agent", f"You said: {text}")


def refuse(field: str) -> InvalidRequestError:
    return InvalidRequestError(f"{field}: no", violations=[FieldViolation(field, "no")])


def repeat_what_fits(request: FakeRequest) -> str:
    """As a model does that reads so much and no more."""
    if sum(len(turn.text) for turn in request.prompt if isinstance(turn, Turn)) > MAX_CHARACTERS:
        raise refuse("conversation")
    return f"You said: {request.text}"


@pytest.fixture
def service() -> FakeService:
    """Its model reads so much and no more."""
    service = FakeService()
    service.answer_with(repeat_what_fits)
    return service


def sent(service: FakeService) -> list[list[str]]:
    """The texts of each conversation that was answered or refused."""
    return [[turn.text for turn in request.prompt] for request in service.requests]  # type: ignore[union-attr]


def test_the_latest_turns_are_kept_and_sent() -> None:
    service = FakeService()
    chat = service.client().conversation(max_turns=4)
    for text in ("a", "b", "c", "d"):
        chat.reply(text)
    assert chat.turns == (*exchange("c"), *exchange("d"))
    chat.generate("e").reply()
    assert service.requests[-1].prompt == (*exchange("c"), *exchange("d"), Turn("user", "e"))
    assert chat.turns == (*exchange("d"), *exchange("e"))


async def test_the_latest_turns_are_kept_and_sent_on_a_loop() -> None:
    service = FakeService()
    chat = service.async_client().conversation(max_turns=2)
    await chat.reply("a")
    await chat.generate("b").reply()
    await chat.reply("c")
    assert service.requests[-1].prompt == (*exchange("b"), Turn("user", "c"))
    assert chat.turns == exchange("c")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ((*exchange("a"), *exchange("b")), exchange("b")),
        ((Turn("agent", "Hello!"), *exchange("a")), exchange("a")),
        ((*exchange("a"), Turn("user", "b")), (Turn("user", "b"),)),
        ((Turn("agent", "Hello!"),), (Turn("agent", "Hello!"),)),
    ],
)
def test_what_is_cut_of_given_turns_begins_with_the_users(
    given: tuple[Turn, ...], kept: tuple[Turn, ...]
) -> None:
    chat = FakeService().client().conversation(given, max_turns=2)
    assert chat.turns == kept


def test_without_a_bound_all_turns_are_kept(service: FakeService) -> None:
    chat = service.client().conversation()
    for text in ("a" * 10, "b"):
        chat.reply(text)
    with pytest.raises(InvalidRequestError):
        chat.reply("c" * 20)
    assert chat.turns == (*exchange("a" * 10), *exchange("b"))


def test_turns_too_long_for_the_model_give_way_to_the_question(service: FakeService) -> None:
    chat = service.client().conversation(max_turns=8)
    for text in ("a", "b" * 20, "c"):
        chat.reply(text)
    long = ["b" * 20, f"You said: {'b' * 20}"]
    assert sent(service)[-2:] == [["a", "You said: a", *long, "c"], [*long, "c"]]
    chat.generate("d" * 50).reply()
    assert chat.turns == exchange("d" * 50)


async def test_turns_too_long_give_way_to_the_question_on_a_loop(service: FakeService) -> None:
    chat = service.async_client().conversation(max_turns=8)
    await chat.reply("a" * 20)
    await chat.reply("b" * 20)
    assert chat.turns == exchange("b" * 20)
    pieces = [piece async for piece in chat.generate("c" * 20).text]
    assert "".join(pieces) == f"You said: {'c' * 20}"
    assert chat.turns == exchange("c" * 20)


def test_a_question_that_is_too_long_alone_leaves_the_turns_as_they_were(
    service: FakeService,
) -> None:
    chat = service.client().conversation(max_turns=8)
    chat.reply("a")
    for ask in (chat.reply, lambda text: chat.generate(text).reply()):
        with pytest.raises(InvalidRequestError, match=r"^conversation: no"):
            ask("b" * (MAX_CHARACTERS + 1))
    assert chat.turns == exchange("a")


def test_other_refusals_are_raised_at_once() -> None:
    service = FakeService()
    chat = service.client().conversation(exchange("a"), max_turns=8)
    for error in (refuse("sampling.top_p"), InvalidRequestError("no")):
        service.fail_next(error)
        with pytest.raises(InvalidRequestError):
            chat.reply("b")
    assert len(service.requests) == 2


@pytest.mark.parametrize(
    ("kind", "told", "value"),
    [
        (ValueError, "must be an even number from 2 on", 3),
        (ValueError, "must be an even number from 2 on", 0),
        (ValueError, "must be an even number from 2 on", -2),
        (ValueError, "must be an even number from 2 on", True),
        (TypeError, "must be a whole number", 2.0),
        (TypeError, "must be a whole number", "8"),
    ],
)
def test_a_bound_that_makes_no_sense_is_refused(
    kind: type[Exception],
    told: str,
    value: Any,  # noqa: ANN401 - what users write
) -> None:
    service = FakeService()
    makers: list[Callable[..., object]] = [
        service.client().conversation,
        service.async_client().conversation,
    ]
    for make in makers:
        with pytest.raises(kind, match=f"^max_turns: {re.escape(told)}"):
            make(max_turns=value)
