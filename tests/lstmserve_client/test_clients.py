"""What both clients do alike; every test runs with each of them."""

from __future__ import annotations

import socket
from dataclasses import replace
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

import pytest

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2 as model_pb
from lstmserve_client import (
    AsyncClient,
    BrokenReplyError,
    CacheMode,
    CacheOutcome,
    Chunk,
    Client,
    Completion,
    DeadlineExceededError,
    FinishReason,
    InvalidRequestError,
    ModelState,
    Priority,
    Reply,
    SamplingParams,
    ServingStatus,
    Started,
    StoppingCriteria,
    Timings,
    TokenLogprob,
    TokenLogprobs,
    Turn,
    UnavailableError,
    Usage,
)
from lstmserve_client.testing import FakeService

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.fake_server import FakeServer

STARTED = Started("support-en", "3", "ab" * 32, 2**64 - 1, 4, CacheOutcome.MISS, "req-1")
TOP = (TokenLogprob(7, -0.25, "Hel"), TokenLogprob(9, -2.0, "[bold]no"))
FIRST = Chunk("Hel", (7,), (TokenLogprobs(-0.25, TOP),))
LAST = Chunk("lo [bold]you", (8, 2), (TokenLogprobs(-0.5, ()), TokenLogprobs(-1.0, ())))
COMPLETION = Completion(
    FinishReason.END_OF_TEXT,
    "",
    Usage(4, 3, 1),
    Timings(0.0, 0.0, 0.0, 0.0015, 0.0075, 0.25),
    CacheOutcome.MISS,
    ("intent:greet",),
)


def test_a_stream_gives_its_events_in_order(call: Callable[..., Any]) -> None:
    events = call("generate", "hi", sampling=SamplingParams(logprobs=2))
    assert events == [STARTED, FIRST, LAST, COMPLETION]


def test_chunks_carry_no_logprobs_unasked(call: Callable[..., Any]) -> None:
    _, first, last, _ = call("generate", "hi")
    assert (first, last) == (replace(FIRST, logprobs=()), replace(LAST, logprobs=()))


def test_a_reply_is_the_whole_of_the_stream(call: Callable[..., Any]) -> None:
    logprobs = FIRST.logprobs + LAST.logprobs
    reply = call("reply", "hi", sampling=SamplingParams(logprobs=2))
    assert reply == Reply("Hello [bold]you", (7, 8, 2), logprobs, STARTED, COMPLETION)


@pytest.mark.parametrize("method", ["generate", "reply"])
def test_a_request_says_all_that_was_asked(
    call: Callable[..., Any], fake: FakeServer, method: str
) -> None:
    call(
        method,
        "hi",
        model="support-en",
        model_version="3",
        sampling=SamplingParams(temperature=0.0, top_k=0, seed=5, logit_bias={3: -1.0}),
        stopping=StoppingCriteria(max_tokens=8, stop_sequences=("\n", "bye")),
        cache_mode=CacheMode.REFRESH,
        cache_tags=["shop", "spring"] if method == "reply" else "shop",
        priority=Priority.HIGH,
    )
    kind = pb.GenerateRequest if method == "generate" else pb.GenerateReplyRequest
    assert fake.requests == [
        kind(
            model="support-en",
            model_version="3",
            prompt="hi",
            # zeros are values, not absences
            sampling=pb.SamplingParams(temperature=0.0, top_k=0, seed=5, logit_bias={3: -1.0}),
            stopping=pb.StoppingCriteria(max_tokens=8, stop_sequences=["\n", "bye"]),
            cache_mode=pb.CACHE_MODE_REFRESH,
            cache_tags=["shop", "spring"] if method == "reply" else ["shop"],
            priority=pb.PRIORITY_HIGH,
        )
    ]


def test_several_replies_come_likeliest_first(call: Callable[..., Any], fake: FakeServer) -> None:
    other = pb.GenerateReplyResponse.FromString(fake.reply.SerializeToString())
    fake.reply.mean_logprob, other.mean_logprob = -0.25, -0.5
    fake.reply.alternatives.append(other)
    best = call("reply", "hi", best_of=4, num_replies=2)
    [request] = fake.requests
    assert (request.best_of, request.num_replies) == (4, 2)
    assert best == replace(call("reply", "hi"), mean_logprob=-0.25, alternatives=best.alternatives)
    assert [each.mean_logprob for each in best.alternatives] == [-0.5]
    assert not fake.requests[1].HasField("best_of")
    with pytest.raises(InvalidRequestError) as error:
        call("reply", "hi", best_of=-1)
    assert [each.field for each in error.value.violations] == ["best_of"]
    with pytest.raises(TypeError, match="best_of"):
        call("generate", "hi", best_of=2)


def test_what_is_not_asked_is_absent(call: Callable[..., Any], fake: FakeServer) -> None:
    call("reply", "", sampling=SamplingParams())
    [request] = fake.requests
    assert request.WhichOneof("input") == "prompt"
    assert request.sampling.ListFields() == []
    assert not request.HasField("stopping")


def test_a_conversation_is_sent_turn_by_turn(call: Callable[..., Any], fake: FakeServer) -> None:
    call("generate", [Turn("user", "hi"), Turn("agent", "hello"), Turn("user", "why?")])
    turns = [(turn.role, turn.text) for turn in fake.requests[0].conversation.turns]
    assert turns == [
        (pb.ROLE_USER, "hi"),
        (pb.ROLE_AGENT, "hello"),
        (pb.ROLE_USER, "why?"),
    ]


def test_odd_input_reaches_the_server_to_be_judged(
    call: Callable[..., Any], fake: FakeServer
) -> None:
    call("reply", [], sampling=SamplingParams(temperature=-1.0, top_p=7.0))
    [empty] = fake.requests
    assert empty.WhichOneof("input") == "conversation"
    assert (empty.sampling.temperature, empty.sampling.top_p) == (-1.0, 7.0)


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("sampling.seed", {"sampling": SamplingParams(seed=-1)}),
        ("sampling.top_k", {"sampling": SamplingParams(top_k=2**32)}),
        ("sampling.logit_bias", {"sampling": SamplingParams(logit_bias={-1: 1.0})}),
        ("stopping.max_tokens", {"stopping": StoppingCriteria(max_tokens=-1)}),
        ("stopping.stop_sequences", {"stopping": StoppingCriteria(stop_sequences=("\udcff",))}),
        ("model", {"model": "\udcff"}),
    ],
)
@pytest.mark.parametrize("method", ["generate", "reply"])
def test_what_the_wire_cannot_carry_is_refused_by_name(
    call: Callable[..., Any], fake: FakeServer, method: str, field: str, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        call(method, "hi", **options)
    assert [each.field for each in raised.value.violations] == [field]
    assert fake.requests == []


@pytest.mark.parametrize(
    ("field", "prompt", "options"),
    [
        ("prompt", None, {}),
        ("prompt", 5, {}),
        ("prompt", Turn("user", "hi"), {}),
        ("prompt", b"hi", {}),
        ("conversation.turns[1]", [Turn("user", "hi"), {"role": "user"}], {}),
        ("conversation.turns[0].text", [Turn("user", 5)], {}),  # type: ignore[arg-type]
        ("sampling.seed", "hi", {"sampling": SamplingParams(seed="7")}),  # type: ignore[arg-type]
        ("sampling", "hi", {"sampling": {"seed": 7}}),
        ("stopping", "hi", {"stopping": {"max_tokens": 7}}),
        ("model", "hi", {"model": 5}),
    ],
)
@pytest.mark.parametrize("method", ["generate", "reply"])
def test_a_value_of_another_type_is_refused_by_name(
    call: Callable[..., Any], method: str, field: str, prompt: object, options: dict[str, Any]
) -> None:
    with pytest.raises(TypeError) as raised:
        call(method, prompt, **options)
    assert str(raised.value).startswith(f"{field}: ")


def test_one_text_is_not_several_stop_sequences() -> None:
    with pytest.raises(TypeError, match=r"^stop_sequences: "):
        StoppingCriteria(stop_sequences="END")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("generate", ["hi"]),
        ("reply", ["hi"]),
        ("warm_cache", ["hi"]),
        ("models", []),
        ("model", []),
        ("health", []),
        ("cache_stats", []),
    ],
)
def test_an_option_that_there_is_not_is_not_passed_over(
    call: Callable[..., Any], fake: FakeServer, method: str, arguments: list[str]
) -> None:
    with pytest.raises(TypeError, match=r"^tempreature: .* has no such option"):
        call(method, *arguments, tempreature=0.5)
    assert fake.requests == []


def test_a_turn_that_is_no_unicode_is_refused_by_name(call: Callable[..., Any]) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        call("reply", [Turn("user", "hi"), Turn("user", "\udcff")])
    assert raised.value.violations[0].field == "conversation.turns[1].text"


@pytest.mark.parametrize(
    "order",
    [[0, 1, 2], [0], [], [1, 2, 3], [3], [0, 0, 3], [0, 1, 0, 3], [0, 3, 1], [0, 3, 3]],
    ids=str,
)
def test_a_stream_that_breaks_the_order_is_no_reply(
    call: Callable[..., Any], fake: FakeServer, order: list[int]
) -> None:
    fake.events = [fake.events[position] for position in order]
    with pytest.raises(BrokenReplyError) as raised:
        call("generate", "hi", request_id="mine")
    assert raised.value.request_id == ("req-1" if order[:1] == [0] else "mine")


@pytest.mark.parametrize("part", ["started", "completion"])
def test_a_reply_that_lacks_a_part_is_broken(
    call: Callable[..., Any], fake: FakeServer, part: str
) -> None:
    fake.reply.ClearField(part)
    with pytest.raises(BrokenReplyError):
        call("reply", "hi")


def test_events_of_a_newer_server_are_passed_over(
    call: Callable[..., Any], fake: FakeServer
) -> None:
    unknown = pb.GenerateResponse.FromString(b"\xa2\x06\x00")  # field 100, which is not ours
    fake.events.insert(1, unknown)
    fake.events[-1].completion.finish_reason = 99
    *rest, completion = call("generate", "hi", sampling=SamplingParams(logprobs=2))
    assert rest == [STARTED, FIRST, LAST]
    assert completion.finish_reason is FinishReason.UNKNOWN


def test_models_are_told_by_their_cards(call: Callable[..., Any]) -> None:
    [card] = call("models")
    assert (card.name, card.version, card.state) == ("support-en", "3", ModelState.READY)
    assert (card.sizes.size_bytes, card.limits.max_tokens) == (7_500_000, 256)
    assert card.default_sampling == SamplingParams(temperature=0.5, logit_bias={3: -1.0})
    assert (card.is_default, card.labels) == (True, ("intent:greet",))
    assert card.evaluation == {"perplexity": "15.0"}


def test_one_model_is_asked_for_by_name(call: Callable[..., Any], fake: FakeServer) -> None:
    fake.model.state = model_pb.MODEL_STATE_FAILED
    card = call("model", "support-en", "2")
    assert (card.version, card.state) == ("2", ModelState.FAILED)


def test_health_is_told_per_service(call: Callable[..., Any]) -> None:
    assert call("health") is ServingStatus.SERVING
    assert call("health", "lstmserve.v1.GenerationService") is ServingStatus.NOT_SERVING
    assert call("health", "nobody.knows") is ServingStatus.SERVICE_UNKNOWN


@pytest.mark.parametrize("method", ["generate", "reply"])
def test_a_deadline_ends_the_call_here_and_there(
    call: Callable[..., Any], fake: FakeServer, method: str
) -> None:
    fake.hangs = True
    with pytest.raises(DeadlineExceededError):
        call(method, "hi", timeout_seconds=0.5)
    assert fake.cancelled.wait(30)


@pytest.mark.parametrize("timeout", [1e10, 1e300])
@pytest.mark.parametrize("method", ["generate", "reply"])
def test_a_deadline_beyond_all_clocks_is_none(
    call: Callable[..., Any], method: str, timeout: float
) -> None:
    assert call(method, "hi", timeout_seconds=timeout)


@pytest.mark.parametrize("method", ["models", "model", "health"])
def test_every_method_says_that_there_is_no_server(
    call: Callable[..., Any], fake: FakeServer, dead_target: str, method: str
) -> None:
    fake.target = dead_target
    with pytest.raises(UnavailableError) as raised:
        call(method)
    assert raised.value.reason is None


def test_clients_and_replies_are_shown_briefly() -> None:
    targets = ["127.0.0.1:1", "127.0.0.1:2"]
    for client in (Client(targets, token="secret"), AsyncClient(targets, token="secret")):
        assert repr(client) == f"{type(client).__name__}(127.0.0.1:1, 127.0.0.1:2)"
    assert str(FakeService({"hi": "Hello."}).client().reply("hi")) == "Hello."
    error = UnavailableError("lost")
    error.message = "no server answers"
    assert repr(error) == "UnavailableError('no server answers')"


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("reply", ["hi"]), ("generate", ["hi"]), ("models", []), ("health", []), ("cache_stats", [])],
)
@pytest.mark.parametrize("client", [Client, AsyncClient])
async def test_a_host_that_never_says_a_word_is_named(
    client: type[Client | AsyncClient], method: str, arguments: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        asking = client(target, timeout=0.3)
        told = rf"^no server has answered within 0.3 s \(timeout\) at {target}; start one with "
        with pytest.raises(DeadlineExceededError, match=told):
            await ask(asking, method, *arguments)
        await closed(asking)


async def test_a_server_that_took_a_call_and_is_slow_is_not_looked_for(fake: FakeServer) -> None:
    fake.hangs = True
    for client in (Client, AsyncClient):
        asking = client(fake.target, timeout=0.5)
        with pytest.raises(DeadlineExceededError, match=r"^no reply within 0.5 s \(timeout\)$"):
            await ask(asking, "reply", "hi")
        await closed(asking)


async def ask(client: Client | AsyncClient, method: str, *arguments: str) -> None:
    """Call a method of either client to its end."""
    result = getattr(client, method)(*arguments)
    if method == "generate":
        result = result.reply()
    if isawaitable(result):
        await result


async def closed(client: Client | AsyncClient) -> None:
    """Close either client."""
    if isawaitable(closing := client.close()):
        await closing
