"""What ``generate`` gives: events, text, the whole, and a way out."""

from __future__ import annotations

import pytest

from lstmserve_client import Chunk, Completion, RequestCancelledError, Started
from lstmserve_client.testing import FakeService

PIECES = ["You", " said:", " hi"]


def test_text_is_what_chunks_carry() -> None:
    assert list(FakeService().client().generate("hi").text) == PIECES


async def test_text_is_what_chunks_carry_on_a_loop() -> None:
    stream = FakeService().async_client().generate("hi")
    assert [piece async for piece in stream.text] == PIECES


def test_the_whole_is_told_whatever_was_read_before() -> None:
    client = FakeService().client()
    whole = client.generate("hi").reply()
    stream = client.generate("hi")
    assert isinstance(next(stream), Started)
    assert next(iter(stream.text)) == "You"
    again = stream.reply()
    assert (again.text, again.token_ids) == (whole.text, whole.token_ids)
    assert stream.reply() == again


async def test_the_whole_is_told_whatever_was_read_before_on_a_loop() -> None:
    stream = FakeService().async_client().generate("hi")
    assert isinstance(await anext(stream), Started)
    reply = await stream.reply()
    assert reply.text == "You said: hi"
    assert await stream.reply() == reply


def test_how_it_began_and_ended_is_known_as_soon_as_it_has() -> None:
    stream = FakeService().client().generate("hi")
    assert (stream.started, stream.completion) == (None, None)
    started = next(stream)
    assert (stream.started, stream.completion) == (started, None)
    *_, completion = stream
    assert (stream.started, stream.completion) == (started, completion)
    assert isinstance(completion, Completion)


def test_nothing_is_asked_before_the_first_event_is_wanted() -> None:
    service = FakeService()
    stream = service.client().generate("hi")
    assert service.requests == []
    stream.close()
    assert (service.requests, list(stream)) == ([], [])


def test_leaving_a_block_cancels() -> None:
    service = FakeService()
    with service.client().generate("hi") as stream:
        next(stream)
    assert service.cancelled == service.requests
    assert list(stream) == []


def test_dropping_it_cancels() -> None:
    service = FakeService()
    for event in service.client().generate("hi"):
        if isinstance(event, Chunk):
            break
    assert service.cancelled == service.requests


async def test_leaving_a_block_cancels_on_a_loop() -> None:
    service = FakeService()
    async with service.async_client().generate("hi") as stream:
        await anext(stream)
    assert service.cancelled == service.requests
    assert [event async for event in stream] == []


def test_a_whole_reply_is_not_cancelled_by_leaving() -> None:
    service = FakeService()
    with service.client().generate("hi") as stream:
        stream.reply()
    assert service.cancelled == []


def test_what_was_left_has_no_whole() -> None:
    stream = FakeService().client().generate("hi")
    next(stream)
    stream.close()
    with pytest.raises(RequestCancelledError, match="closed before the reply ended"):
        stream.reply()


async def test_who_prints_a_stream_is_told_what_to_do_with_it() -> None:
    service = FakeService()
    stream, on_a_loop = service.client().generate("hi"), service.async_client().generate("hi")
    to_do = "iterate over it or its .text, or use .reply()>"
    assert str(stream) == f"<ReplyStream: 0 events so far; {to_do}"
    assert service.requests == []
    next(stream)
    await anext(on_a_loop)
    assert repr(stream) == f"<ReplyStream: 1 events so far; {to_do}"
    assert repr(on_a_loop) == f"<AsyncReplyStream: 1 events so far; {to_do}"
