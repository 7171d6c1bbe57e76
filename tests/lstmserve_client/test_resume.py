"""Replies whose connections break anywhere, any number of times, are those that never broke."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_client import (
    AsyncClient,
    BrokenReplyError,
    CacheMode,
    Chunk,
    Classification,
    Client,
    Event,
    Label,
    LstmserveError,
    ModelNotFoundError,
    OverloadedError,
    RetryPolicy,
    SamplingParams,
    ServerError,
    Started,
    UnavailableError,
    VersionGoneError,
)
from lstmserve_client.keywords import (
    GenerateOptions,
)
from lstmserve_client.stream import join
from lstmserve_client.testing import FakeClock, FakeReply, FakeService
from support.scripted_transport import (
    Connection,
    Script,
    ScriptedAsyncTransport,
    ScriptedTransport,
)

TARGETS = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
PATIENT = RetryPolicy(max_attempts=100)
OPTIONS = GenerateOptions(sampling=SamplingParams(logprobs=0))
ABOUT = Classification(Label("greet", 0.75), (), 0.875)
SCRIPT = Script(["one", " two", " three", " four"])


def receive(transport: ScriptedTransport, num_targets: int = 1) -> list[Event]:
    client = Client(TARGETS[:num_targets], transport=transport, clock=FakeClock(), retry=PATIENT)
    return list(client.generate("hi", **OPTIONS))


def receive_async(transport: ScriptedTransport, num_targets: int = 1) -> list[Event]:
    assert isinstance(transport, ScriptedAsyncTransport)

    async def run() -> list[Event]:
        client = AsyncClient(
            TARGETS[:num_targets], transport=transport, clock=FakeClock(), retry=PATIENT
        )
        return [event async for event in client.generate("hi", **OPTIONS)]

    return asyncio.run(run())


def both(script: Script, connections: Sequence[Connection], num_targets: int = 1) -> list[Event]:
    """What either client gives, which is the same."""
    events = receive(ScriptedTransport(script, connections), num_targets)
    assert receive_async(ScriptedAsyncTransport(script, connections), num_targets) == events
    return events


def failure(connections: Sequence[Connection], num_targets: int = 1) -> LstmserveError:
    """What either client raises, which is the same."""
    with pytest.raises(LstmserveError) as raised:
        receive(ScriptedTransport(SCRIPT, connections), num_targets)
    with pytest.raises(LstmserveError) as again:
        receive_async(ScriptedAsyncTransport(SCRIPT, connections), num_targets)
    assert type(raised.value) is type(again.value)
    assert raised.value.received_tokens == again.value.received_tokens
    return raised.value


def test_what_it_is_about_is_told_once() -> None:
    service = FakeService({"hi": FakeReply("one two three four", classification=ABOUT)})
    service.break_next(after_tokens=1)
    service.break_next(after_tokens=1)
    events = list(service.client().generate("hi"))
    assert len(service.requests) == 3
    assert [event for event in events if isinstance(event, Classification)] == [ABOUT]
    assert join(events).text == "one two three four"


def test_what_is_inexact_is_not_gone_on_with() -> None:
    inexact = Script(["one", " two"], is_inexact=True)
    for kind in (ScriptedTransport, ScriptedAsyncTransport):
        transport = kind(inexact, [Connection(num_messages=2)])
        with pytest.raises(UnavailableError, match="its version is inexact") as raised:
            receive(transport) if kind is ScriptedTransport else receive_async(transport)
        assert raised.value.received_tokens == 1
        assert len(transport.requests) == 1


def test_of_what_is_inexact_nothing_was_lost_before_the_first_token() -> None:
    inexact = Script(["one", " two"], is_inexact=True)
    events = both(inexact, [Connection(num_messages=1)])
    assert join(events).text == "one two"
    assert join(events).started.is_inexact


texts = st.sampled_from(["a", " bc", "", "é", "\n"])
scripts = st.builds(Script, st.lists(texts, min_size=1, max_size=8), st.sampled_from(["", "end"]))
connections = st.lists(
    st.builds(
        Connection, st.lists(st.integers(0, 4), max_size=8), st.integers(0, 10) | st.just(10**6)
    ),
    max_size=12,
)


@given(scripts, connections, st.integers(1, 3))
def test_no_cut_can_be_seen(
    script: Script, connections: list[Connection], num_targets: int
) -> None:
    events = both(script, connections, num_targets)
    assert [type(event) for event in events].count(Started) == 1
    assert isinstance(events[0], Started)
    assert all(event.token_ids or event.text for event in events if isinstance(event, Chunk))
    assert join(events) == join(receive(ScriptedTransport(script)))
    assert join(events).text == "".join(script.texts) + script.tail


@given(connections)
def test_what_is_asked_again_decides_the_same_reply(connections: list[Connection]) -> None:
    transport = ScriptedTransport(SCRIPT, connections)
    receive(transport)
    for request in transport.requests:
        resumed = list(request.resume_tokens)
        assert resumed == SCRIPT.token_ids[: len(resumed)]
        if resumed:
            assert (request.model, request.model_version) == ("m", "1")
            assert request.sampling.seed == 7


def test_a_reply_goes_on_at_another_server_at_once() -> None:
    transport = ScriptedTransport(SCRIPT, [Connection(num_messages=3)])
    clock = FakeClock()
    client = Client(TARGETS, transport=transport, clock=clock)
    assert client.generate("hi").reply().text == "one two three four"
    assert len({*transport.targets}) == 2
    assert clock.waits == []
    # the latest chunk comes again, to show that the servers agree
    assert list(transport.requests[1].resume_tokens) == SCRIPT.token_ids[:1]


def test_a_reply_that_was_cached_may_be_generated_on() -> None:
    transport = ScriptedTransport(SCRIPT, [Connection(num_messages=2)])
    client = Client(transport=transport, clock=FakeClock())
    client.generate("hi", cache_mode=CacheMode.ONLY_IF_CACHED).reply()
    modes = [request.cache_mode for request in transport.requests]
    assert modes == [pb.CACHE_MODE_ONLY_IF_CACHED, pb.CACHE_MODE_UNSPECIFIED]


def test_a_stream_refused_in_the_middle_waits_as_it_is_told() -> None:
    busy = OverloadedError("later", retry_delay_seconds=2.5)
    transport = ScriptedTransport(SCRIPT, [Connection(num_messages=2, error=busy)])
    clock = FakeClock()
    text = Client(transport=transport, clock=clock).generate("hi").reply().text
    assert (text, clock.waits) == ("one two three four", [2.5])


def test_servers_that_stay_away_are_given_up_with_what_had_come() -> None:
    lost = [Connection(num_messages=3), *[Connection(num_messages=0)] * 200]
    error = failure(lost)
    assert type(error) is UnavailableError
    assert error.received_tokens == 2


def test_a_version_of_another_digest_does_not_go_on() -> None:
    other = Script(SCRIPT.texts, digest="cd" * 32)
    error = failure([Connection(num_messages=3), Connection(script=other)])
    assert isinstance(error, VersionGoneError)
    assert (error.received_tokens, error.resource) == (2, "m version 1")


@pytest.mark.parametrize("num_targets", [1, 3])
def test_a_version_that_no_server_has_any_more_ends_the_reply(num_targets: int) -> None:
    gone = Connection(num_messages=0, error=ModelNotFoundError("no such version"))
    error = failure([Connection(num_messages=4), *[gone] * num_targets], num_targets)
    assert isinstance(error, VersionGoneError)
    assert error.received_tokens == 3
    assert "no such version" in str(error)


def test_a_version_that_another_server_still_has_goes_on_there() -> None:
    gone = Connection(num_messages=0, error=ModelNotFoundError("no such version"))
    other = Connection(script=Script(SCRIPT.texts, digest="cd" * 32))
    events = both(SCRIPT, [Connection(num_messages=4), gone, other], num_targets=3)
    assert join(events).text == "one two three four"


@pytest.mark.parametrize(
    "other",
    [
        Script(["one", " too", " three", " four"]),
        Script(["one", " two"]),
        Script(["one"]),
    ],
    ids=["text", "shorter by none that came", "shorter"],
)
def test_servers_that_disagree_break_the_reply(other: Script) -> None:
    cut = Connection(sizes=[1, 2], num_messages=3)
    error = failure([cut, Connection(script=other)])
    assert isinstance(error, BrokenReplyError)
    assert error.received_tokens == 3


def test_other_tokens_break_the_reply() -> None:
    class Other(Script):
        @property
        def token_ids(self) -> list[int]:
            return [100, 999, 102, 103]

    error = failure([Connection(num_messages=3), Connection(script=Other(SCRIPT.texts))])
    assert isinstance(error, BrokenReplyError)
    assert error.received_tokens == 2


def test_what_would_fail_again_ends_the_reply_and_tells_what_had_come() -> None:
    error = failure([Connection(num_messages=3, error=ServerError("bug", reason="BUG"))])
    assert (type(error), error.received_tokens) == (ServerError, 2)
