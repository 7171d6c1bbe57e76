"""Values of replies that keep a schema: what cannot be read of one is told, and nothing is lost."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from lstmserve_client import CallRecord, JsonSchema, Reply, UnreadableReplyError
from lstmserve_client.parsing import parsed
from lstmserve_client.testing import FakeService


class Span(BaseModel):
    days: timedelta


class Reader:
    """A class of another kind, which raises what it likes."""

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def model_validate_json(cls, text: str) -> object:
        return {"1": 1}[text]


TOO_LONG = '{"days": "P99999999999D"}'  # keeps the schema, whose numbers may have any length


def test_a_reply_that_a_class_does_not_take_is_not_lost() -> None:
    records: list[CallRecord] = []
    client = FakeService({"hi": TOO_LONG}).client(on_call_end=records.append)
    with pytest.raises(UnreadableReplyError, match=r"^reply: days: Input should be") as raised:
        client.reply("hi", constraint=JsonSchema(Span), request_id="r")
    assert isinstance(raised.value, ValueError)
    assert (raised.value.reply.text, raised.value.reply.parsed) == (TOO_LONG, None)
    assert raised.value.request_id == "r"
    assert isinstance(raised.value.__cause__, ValidationError)
    copied = pickle.loads(pickle.dumps(raised.value))
    assert (str(copied), copied.reply.text) == (str(raised.value), TOO_LONG)
    assert [(record.num_attempts, record.error) for record in records] == [(1, raised.value)]


@pytest.mark.parametrize(
    ("schema", "text", "reason"),
    [
        (Reader, "2", "reply: KeyError: '2'"),
        ("{}", "[" * 9999 + "]" * 9999, "reply: RecursionError: "),
        ("{}", "9" * 5000, "reply: ValueError: Exceeds the limit"),
    ],
)
def test_whatever_a_class_raises_is_told(schema: type | str, text: str, reason: str) -> None:
    client = FakeService({"hi": text}).client()
    with pytest.raises(UnreadableReplyError) as raised:
        client.reply("hi", constraint=JsonSchema(schema))
    assert str(raised.value).startswith(reason)
    assert raised.value.reply.text == text


def test_an_alternative_that_cannot_be_read_loses_nothing() -> None:
    good, bad = '{"days": "P1D"}', TOO_LONG
    first = FakeService({"hi": good}).client().reply("hi")
    whole = replace(first, alternatives=(first, replace(first, text=bad)))
    with pytest.raises(UnreadableReplyError, match=r"^alternatives\[1\]: days") as raised:
        parsed(whole, "hi", JsonSchema(Span))
    found = raised.value.reply
    assert [each.parsed for each in found.alternatives] == [Span(days=timedelta(1)), None]
    assert (found.parsed, found.alternatives[1].text) == (Span(days=timedelta(1)), bad)


async def test_asynchronous_clients_and_lists_of_prompts_lose_nothing_either() -> None:
    service = FakeService({"hi": TOO_LONG, "ho": '{"days": "P1D"}'})
    async with service.async_client() as client:
        with pytest.raises(UnreadableReplyError, match="days"):
            await client.reply("hi", constraint=JsonSchema(Span))
    bad, good = service.client().reply_many(["hi", "ho"], constraint=JsonSchema(Span))
    assert isinstance(bad, UnreadableReplyError)
    assert bad.reply.text == TOO_LONG
    assert isinstance(good, Reply)
    assert good.parsed == Span(days=timedelta(1))
