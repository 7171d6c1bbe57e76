"""Prompts and conversations as callers write them."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest

from lstmserve_client import InvalidRequestError, Turn
from lstmserve_client.messages import read_prompt, read_turns
from lstmserve_client.testing import FakeService
from lstmserve_client.types import Message

TURNS = [Turn("user", "hi"), Turn("agent", "hello"), Turn("user", "why?")]
MESSAGES = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "hello"},
    {"role": "user", "content": "why?"},
]


HI = {"type": "text", "text": "hi"}


def said(content: object) -> list[Message]:
    """One message of the user's."""
    return [{"role": "user", "content": content}]


def test_messages_are_turns() -> None:
    assert read_prompt(MESSAGES) == TURNS
    assert read_prompt([TURNS[0], Turn("assistant", "hello"), MESSAGES[2]]) == TURNS
    assert read_prompt([{**MESSAGES[0], "refusal": None, "tool_calls": []}]) == TURNS[:1]
    assert read_prompt("hi") == "hi"
    assert read_turns(iter(TURNS)) == TURNS


def test_a_role_may_be_the_member_of_an_enumeration() -> None:
    class Speaker(str, Enum):  # noqa: UP042 - as older programs have it
        USER = "user"

    assert read_turns([Turn(Speaker.USER, "hi")]) == TURNS[:1]  # type: ignore[arg-type]
    assert read_turns([{"role": Speaker.USER, "content": "hi"}]) == TURNS[:1]


def test_parts_of_text_are_joined() -> None:
    assert read_prompt(said([HI])) == TURNS[:1]
    parts = [HI, {"type": "text", "text": " there", "annotations": []}]
    assert read_prompt(said(parts)) == [Turn("user", "hi there")]
    assert read_turns(said(tuple(parts))) == [Turn("user", "hi there")]


@pytest.mark.parametrize("role", ["system", "developer"])
@pytest.mark.parametrize("is_message", [True, False])
def test_instructions_are_refused_with_the_reason(role: Any, *, is_message: bool) -> None:  # noqa: ANN401 - no Role
    first = {"role": role, "content": "be kind"} if is_message else Turn(role, "be kind")
    with pytest.raises(InvalidRequestError) as raised:
        FakeService().client().reply([first, *TURNS[:1]])
    assert str(raised.value) == (
        f"conversation.turns[0].role: {role!r} is not served: models here were trained without "
        "instructions and follow none; put what the reply depends on into the user's message, or "
        "leave it out"
    )


def test_a_part_that_is_no_text_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="must be \"text\", not 'image_url'"):
        FakeService().client().reply(said([{"type": "image_url", "image_url": {"url": "a"}}]))


def test_messages_are_sent_and_gone_on_from() -> None:
    service = FakeService()
    client = service.client()
    client.reply(MESSAGES)
    client.conversation(MESSAGES[:2]).reply("why?")
    assert [request.prompt for request in service.requests] == [tuple(TURNS), tuple(TURNS)]


@pytest.mark.parametrize(
    ("told", "prompt"),
    [
        ('prompt: must be text, such as "Where is my order?", or a list of turns, ', None),
        ("prompt: must be text, such as ", {"role": "user", "content": "hi"}),
        ("prompt: must be text, such as ", Turn("user", "hi")),
        ("prompt: must be text, not bytes; decode them: prompt.decode()", b"hi"),
        ("conversation.turns[0]: must be a Turn, such as ", [("user", "hi")]),
        ("conversation.turns[1]: must be a Turn, such as ", [TURNS[0], "hi"]),
        ('conversation.turns[0]: must have the keys "role" and "content"', [{"role": "user"}]),
        ("conversation.turns[0].text: must be text, not list", [Turn("user", [])]),  # type: ignore[arg-type]
        (
            "conversation.turns[1].content: must be text, or a list of parts such as ",
            [MESSAGES[0], {"role": "user", "content": 5}],
        ),
        ("conversation.turns[0].content: must be text, or a list of parts such as ", said(None)),
        ("conversation.turns[0].content[0]: must be a part such as ", said(["hi"])),
        (
            "conversation.turns[0].content[1].text: must be text, not int",
            said([HI, {**HI, "text": 5}]),
        ),
        (
            "conversation.turns[0].content[0].text: must be text, not NoneType",
            said([{"type": "text"}]),
        ),
        (
            "conversation.turns[0].content[0]: 'cache_control' is not served",
            said([{**HI, "cache_control": {"type": "ephemeral"}}]),
        ),
        ("conversation.turns[0]: 'name' is not served", [{**MESSAGES[0], "name": "Jo"}]),
    ],
)
def test_what_is_neither_text_nor_turns_is_told(told: str, prompt: object) -> None:
    service = FakeService()
    with pytest.raises(TypeError) as raised:
        service.client().reply(prompt)  # type: ignore[arg-type]
    assert str(raised.value).startswith(told)
    assert service.requests == []


@pytest.mark.parametrize(
    ("field", "prompt"),
    [
        ("conversation.turns[0].role", [{"role": "system", "content": "be kind"}]),
        ("conversation.turns[1].role", [TURNS[0], Turn("wizard", "hi")]),  # type: ignore[arg-type]
        ("conversation.turns[0].role", [{"role": ["user"], "content": "hi"}]),
        ("conversation.turns[0].text", [Turn("user", "\ud800")]),
        ("conversation.turns[1].content", [TURNS[0], *said("\ud800")]),
        ("conversation.turns[0].content", said([{**HI, "text": "\udfff"}])),
        ("conversation.turns[0].content", said(" ")),
        ("conversation.turns[0].content", said([])),
        (
            "conversation.turns[0].content[1].type",
            said([HI, {"type": "image_url", "image_url": {}}]),
        ),
        ("conversation.turns[0].content[0].type", said([{"type": "input_audio"}])),
        ("conversation.turns[0].content[0].type", said([{"text": "hi"}])),
        ("prompt", "hi \ud800"),
        ("prompt", "x" * 10_000_000),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(field: str, prompt: str | list[Turn]) -> None:
    service = FakeService()
    with pytest.raises(InvalidRequestError) as raised:
        service.client().reply(prompt)
    assert str(raised.value).startswith(f"{field}: ")
    assert [each.field for each in raised.value.violations] == [field]
    assert service.requests == []


def test_several_texts_are_not_one() -> None:
    client = FakeService().client()
    with pytest.raises(TypeError, match=r"^prompts: must be several"):
        client.classify_many("hi")
    for turns in ("hi", None):
        with pytest.raises(TypeError, match=r"^turns: must be a list"):
            client.conversation(turns)  # type: ignore[arg-type]
