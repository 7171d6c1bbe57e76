"""The fake service that users test with: what it promises of itself, and that it is like a
real one.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import BaseModel

from lstmserve_client import (
    AsyncClient,
    CacheMode,
    Choices,
    Chunk,
    Classification,
    Client,
    Constraint,
    FinishReason,
    Form,
    Grammar,
    JsonSchema,
    Label,
    ModelNotFoundError,
    OverloadedError,
    Priority,
    Regex,
    ReplyOutcome,
    ReplySource,
    RequestCancelledError,
    ResumeError,
    RetryPolicy,
    SamplingParams,
    ServerError,
    ServingStatus,
    StoppingCriteria,
    Turn,
    UnavailableError,
)
from lstmserve_client.testing import FakeReply, FakeRequest, FakeService, make_model


def test_its_clients_are_real_ones() -> None:
    service = FakeService()
    assert type(service.client()) is Client
    assert type(service.async_client()) is AsyncClient


def test_both_ways_to_ask_give_the_same_reply() -> None:
    client = FakeService({"hi": FakeReply("Hello there, you.", labels=("intent:greet",))}).client()
    options = {"sampling": SamplingParams(logprobs=2, seed=3), "request_id": "mine"}
    whole = client.reply("hi", **options)  # type: ignore[arg-type]  # by name
    assert client.generate("hi", **options).reply() == whole  # type: ignore[arg-type]
    assert whole.text == "Hello there, you."
    assert whole.completion.labels == ("intent:greet",)
    assert (whole.started.seed, whole.started.request_id) == (3, "mine")
    assert len(whole.logprobs) == len(whole.token_ids) == 3
    assert [len(position.top) for position in whole.logprobs] == [2, 2, 2]


ABOUT = Classification(Label("greet", 0.75), (Label("thank", 0.25),), 0.875)


def test_what_a_question_is_about_comes_with_its_reply_and_without() -> None:
    greeting = FakeReply("Hello.", classification=ABOUT, outcome=ReplyOutcome.HANDOVER)
    client = FakeService({"hi": greeting}).client()
    assert client.classify("hi") == ABOUT
    assert client.classify_many(["hi", [Turn("user", "hi")]]) == [ABOUT, ABOUT]
    with client.generate("hi") as stream:
        assert [type(event).__name__ for event in stream][:2] == ["Started", "Classification"]
        assert stream.classification == ABOUT
        assert stream.reply() == client.reply("hi", request_id=stream.reply().started.request_id)
    reply = client.reply("hi")
    assert reply.classification == ABOUT
    assert reply.completion.outcome is ReplyOutcome.HANDOVER
    assert reply.started.source is ReplySource.MODEL
    assert ABOUT.ranking == (Label("greet", 0.75), Label("thank", 0.25))


def test_what_nobody_has_classified_has_no_classification() -> None:
    client = FakeService().client()
    assert client.reply("hi").classification is None
    with pytest.raises(ServerError, match="no classifier"):
        client.classify("hi")


def test_no_logprobs_come_unasked() -> None:
    assert FakeService().client().reply("hi").logprobs == ()


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_reply_comes_in_chunks(size: int) -> None:
    service = FakeService()
    service.reply_to("hi", FakeReply("one two three", tokens_per_chunk=size))
    events = list(service.client().generate("hi"))
    chunks = [event for event in events if isinstance(event, Chunk)]
    assert len(chunks) == -(-3 // size)
    assert "".join(chunk.text for chunk in chunks) == "one two three"


@pytest.mark.parametrize("text", ["", " ", "one", "one ", "  one\n two\n", "né  "])
def test_a_text_comes_as_it_was_written(text: str) -> None:
    service = FakeService({"hi": FakeReply(text)})
    assert service.client().generate("hi").reply().text == text
    assert service.client().reply("hi").text == text


def test_a_function_may_answer_by_all_that_was_asked() -> None:
    service = FakeService({"hi": "scripted"})
    service.answer_with(lambda request: f"{request.sampling.seed}")
    client = service.client()
    assert client.reply("hi").text == "scripted"
    assert client.reply("other", sampling=SamplingParams(seed=5)).text == "5"


def test_a_function_may_fail() -> None:
    def refuse(request: FakeRequest) -> str:
        raise ServerError("never", reason="BUG")

    service = FakeService()
    service.answer_with(refuse)
    with pytest.raises(ServerError, match="never"):
        service.client().reply("hi")


def test_the_limits_of_a_request_hold() -> None:
    client = FakeService({"hi": "one two three four"}).client()
    short = client.reply("hi", stopping=StoppingCriteria(max_tokens=2))
    assert (short.text, short.completion.finish_reason) == ("one two", FinishReason.MAX_TOKENS)
    cut = client.reply("hi", stopping=StoppingCriteria(stop_sequences=("four", " three")))
    assert (cut.text, cut.completion.finish_reason) == ("one two", FinishReason.STOP_SEQUENCE)
    assert cut.completion.stop_sequence == " three"
    exact = client.reply("hi", stopping=StoppingCriteria(max_tokens=4))
    assert exact.completion.finish_reason is FinishReason.END_OF_TEXT
    assert exact.completion.usage.generated_tokens == 4


def test_what_was_asked_is_kept_as_plain_values() -> None:
    service = FakeService()
    client = service.client(caller="shop")
    client.reply(
        "hi",
        sampling=SamplingParams(temperature=0.0, logit_bias={3: -1.0}),
        stopping=StoppingCriteria(max_tokens=8, stop_sequences=("x",)),
        cache_mode=CacheMode.REFRESH,
        priority=Priority.HIGH,
        min_confidence=0.25,
        variables={"name": "Jo"},
        best_of=4,
        num_replies=2,
        constraint=Regex("[0-9]+"),
        timeout_seconds=5.0,
        request_id="mine",
    )
    [request] = service.requests
    affinity = request.metadata["x-affinity"]
    sent = {"x-affinity": affinity, "x-caller-id": "shop", "x-request-id": "mine"}
    assert request.metadata == sent
    assert replace(request, metadata={}) == FakeRequest(
        prompt="hi",
        model="",
        model_version="",
        sampling=SamplingParams(temperature=0.0, logit_bias={3: -1.0}),
        stopping=StoppingCriteria(max_tokens=8, stop_sequences=("x",)),
        cache_mode=CacheMode.REFRESH,
        priority=Priority.HIGH,
        resume_tokens=(),
        is_streamed=False,
        target=0,
        timeout_seconds=5.0,
        request_id="mine",
        metadata={},
        min_confidence=0.25,
        variables={"name": "Jo"},
        best_of=4,
        num_replies=2,
        constraint=Regex("[0-9]+"),
    )


@pytest.mark.parametrize(
    "constraint",
    [
        Regex("a|b"),
        Choices(("a", "b")),
        JsonSchema('{"type": "integer"}'),
        Grammar('start: "a"'),
        Form("date"),
        Form("verse", prompt_characters=2),
    ],
)
def test_every_constraint_is_kept_as_it_was_asked(constraint: Constraint) -> None:
    service = FakeService()
    list(service.client().generate("hi", constraint=constraint))
    assert service.requests[0].constraint == constraint


def test_a_constraint_of_another_kind_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"constraint: must be .* or Form, not str"):
        FakeService().client().reply("hi", constraint="[0-9]+")  # type: ignore[typeddict-item]
    with pytest.raises(TypeError, match="several texts"):
        Choices("yes")


class Ticket(BaseModel):
    topic: str
    urgent: bool


def test_a_reply_that_keeps_a_schema_is_parsed() -> None:
    """Into an object of the model's, or what JSON has where the schema was given itself."""
    client = FakeService({"hi": '{"topic": "order", "urgent": true}'}).client()
    found = client.reply("hi", constraint=JsonSchema(Ticket))
    assert found.parsed == Ticket(topic="order", urgent=True)
    found = client.reply("hi", constraint=JsonSchema({"type": "object"}))
    assert found.parsed == {"topic": "order", "urgent": True}
    assert client.reply("hi").parsed is None


def test_a_value_that_begins_in_the_prompt_is_parsed_whole() -> None:
    client = FakeService({'It is [1, "': 'a"]'}).client()
    found = client.reply('It is [1, "', constraint=JsonSchema("true", prompt_characters=5))
    assert found.parsed == [1, "a"]


async def test_an_asynchronous_client_parses_as_well() -> None:
    service = FakeService({"hi": "[1]"})
    async with service.async_client() as client:
        assert (await client.reply("hi", constraint=JsonSchema("true"))).parsed == [1]


def test_what_is_no_schema_is_refused_by_its_type() -> None:
    with pytest.raises(TypeError, match="must be a pydantic model, a mapping or text, not int"):
        FakeService().client().reply("hi", constraint=JsonSchema(7))  # type: ignore[arg-type]


def test_a_conversation_is_asked_by_its_last_turn() -> None:
    service = FakeService({"why?": "Because."})
    turns = (Turn("user", "hi"), Turn("agent", "hello"), Turn("user", "why?"))
    assert service.client().reply(turns).text == "Because."
    assert service.requests[0].prompt == turns


@pytest.mark.parametrize("after_tokens", [0, 1, 3, 6])
def test_a_broken_stream_goes_on_and_nobody_notices(after_tokens: int) -> None:
    service = FakeService({"hi": "one two three four five six"})
    service.break_next(after_tokens, times=3)
    assert list(service.client().generate("hi").text) == [
        *("one", " two", " three", " four", " five", " six")
    ]
    assert len(service.requests) > 1


async def test_a_broken_stream_goes_on_and_nobody_notices_on_a_loop() -> None:
    service = FakeService({"hi": "one two three"})
    service.break_next(after_tokens=2)
    assert (await service.async_client().generate("hi").reply()).text == "one two three"
    assert [len(request.resume_tokens) for request in service.requests] == [0, 1]


def test_a_reply_that_breaks_is_asked_for_again() -> None:
    service = FakeService()
    service.break_next(after_tokens=2)
    assert service.client().reply("hi").text == "You said: hi"
    assert len(service.requests) == 2


def test_tokens_of_another_reply_are_not_resumed() -> None:
    service = FakeService()
    service.break_next(after_tokens=3)
    answers = iter(["one two three four", "five six seven"])
    service.answer_with(lambda _: next(answers))
    with pytest.raises(ResumeError) as raised:
        service.client().generate("hi").reply()
    assert raised.value.received_tokens == 3


def test_failures_come_in_the_order_in_which_they_were_told() -> None:
    service = FakeService()
    client = service.client()
    service.fail_next(ServerError("first"))
    service.overload()
    service.fail_next(ServerError("third"))
    with pytest.raises(ServerError, match="first"):
        client.reply("hi")
    with pytest.raises(ServerError, match="third"):
        client.reply("hi")
    assert client.reply("hi").text == "You said: hi"


def test_an_error_that_is_told_stays_as_it_is() -> None:
    service = FakeService()
    error = OverloadedError("later", reason="QUEUE_FULL")
    service.fail_next(error, times=2)
    with pytest.raises(OverloadedError) as raised:
        service.client(retry=RetryPolicy(max_attempts=2)).reply("hi", request_id="mine")
    assert (raised.value.request_id, raised.value.reason) == ("mine", "QUEUE_FULL")
    assert error.request_id is None


def test_models_are_those_it_was_given() -> None:
    old, new = make_model("shop", "1", is_default=False), make_model("shop", "2")
    service = FakeService(models=[old, new])
    client = service.client()
    assert client.models() == [old, new]
    assert client.model("shop", "1") == old
    assert client.model() == new
    assert client.reply("hi").started.model_version == "2"
    assert client.reply("hi", model="shop", model_version="1").started.model_digest == old.digest
    with pytest.raises(ModelNotFoundError) as raised:
        client.reply("hi", model="other")
    assert raised.value.resource is not None


def test_a_version_that_is_unloaded_is_gone() -> None:
    service = FakeService(models=[make_model("shop", "1")])
    service.models[:] = [make_model("shop", "2")]
    with pytest.raises(ModelNotFoundError):
        service.client().reply("hi", model_version="1")


def test_health_is_what_it_was_told() -> None:
    service = FakeService()
    client = service.client()
    assert client.health() is ServingStatus.SERVING
    service.status = ServingStatus.NOT_SERVING
    assert client.health() is ServingStatus.NOT_SERVING
    with pytest.raises(UnavailableError):
        client.reply("hi")


def test_what_it_does_not_know_it_says() -> None:
    with pytest.raises(ServerError, match="a fake service has no") as raised:
        FakeService().client().cache_stats()
    assert raised.value.reason == "UNIMPLEMENTED"
    assert raised.value.request_id


def test_a_slow_call_takes_its_time_and_no_more() -> None:
    service = FakeService()
    service.delay_next(2.5)
    service.client().reply("hi", timeout_seconds=3.0)
    assert service.clock.now() == 2.5


async def test_a_closed_client_is_closed() -> None:
    service = FakeService()
    with service.client() as client:
        stream = client.generate("hi")
        next(stream)
    async with service.async_client() as other:
        coming = other.generate("hi")
        await anext(coming)
    for ended in (lambda: client.reply("hi"), lambda: next(stream)):
        with pytest.raises(RequestCancelledError):
            ended()
    with pytest.raises(RequestCancelledError):
        await anext(coming)
    with pytest.raises(RequestCancelledError):
        await other.reply("hi")
