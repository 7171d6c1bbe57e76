"""Parameters by keyword, beside the objects that hold them: what is sent, and what is refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from lstmserve_client import (
    AsyncClient,
    AsyncConversation,
    CacheMode,
    Choices,
    Client,
    Conversation,
    Form,
    Grammar,
    InvalidRequestError,
    Priority,
    Regex,
    SamplingParams,
    StoppingCriteria,
)
from lstmserve_client.keywords import WholeReplyOptions
from lstmserve_client.testing import FakeRequest, FakeService

METHODS = (Client.reply, AsyncClient.reply, Conversation.reply, AsyncConversation.reply)


@pytest.fixture
def service() -> FakeService:
    return FakeService()


def asked(service: FakeService, prompt: Any = "hi", **options: Any) -> FakeRequest:  # noqa: ANN401 - what users write
    """The request of a reply, as the service got it."""
    service.client().reply(prompt, **options)
    return service.requests[-1]


def test_every_parameter_is_a_keyword(service: FakeService) -> None:
    sampling = {
        "temperature": 0.5,
        "top_p": 0.75,
        "top_k": 4,
        "min_p": 0.25,
        "seed": 7,
        "logprobs": 2,
        "repetition_penalty": 1.5,
        "frequency_penalty": 0.5,
        "presence_penalty": 0.25,
        "logit_bias": {3: -1.0},
    }
    request = asked(service, **sampling, max_tokens=40, min_tokens=2, stop=["\n", "END"])
    assert request.sampling == SamplingParams(**sampling)
    stopping = StoppingCriteria(max_tokens=40, min_tokens=2, stop_sequences=("\n", "END"))
    assert request.stopping == stopping


def test_keywords_go_with_an_object_that_does_not_say_the_same(service: FakeService) -> None:
    request = asked(service, sampling=SamplingParams(temperature=0.5), seed=7, stop="END")
    assert request.sampling == SamplingParams(temperature=0.5, seed=7)
    assert request.stopping.stop_sequences == ("END",)


def test_none_is_the_same_as_nothing(service: FakeService) -> None:
    nothing = dict.fromkeys(WholeReplyOptions.__optional_keys__)
    request, plain = asked(service, **nothing), asked(service)
    assert (request.sampling, request.stopping) == (plain.sampling, plain.stopping)
    assert (request.cache_mode, request.priority) == (plain.cache_mode, plain.priority)


def test_plain_words_and_numbers_do(service: FakeService) -> None:
    request = asked(service, model_version=1, cache_mode="bypass", priority="low", timeout=3)
    assert (request.model_version, request.cache_mode) == ("1", CacheMode.BYPASS)
    assert (request.priority, request.timeout_seconds) == (Priority.LOW, 3.0)
    with service.client(timeout=5) as client:
        assert client.model("fake", 1).version == "1"
        client.reply("hi")
    assert service.requests[-1].timeout_seconds == 5.0


def test_a_call_of_a_conversation_changes_one_parameter_or_all(service: FakeService) -> None:
    chat = service.client().conversation(temperature=0.5, seed=7, stop="END")
    chat.reply("hi", temperature=0.75)
    chat.reply("hi", sampling=SamplingParams(top_k=3))
    of_objects = service.client().conversation(sampling=SamplingParams(temperature=0.5, seed=7))
    of_objects.reply("hi", seed=8)
    assert [request.sampling for request in service.requests] == [
        SamplingParams(temperature=0.75, seed=7),
        SamplingParams(top_k=3),
        SamplingParams(temperature=0.5, seed=8),
    ]
    assert service.requests[1].stopping.stop_sequences == ("END",)


@pytest.mark.parametrize(
    ("told", "options"),
    [
        ("temperature: is given by keyword and in sampling", {"sampling": {"temperature": 0.5}}),
        ("temprature: reply() has no such option; did you mean temperature?", {"temprature": 1}),
        ("version: reply() has no such option; did you mean model_version?", {"version": 1}),
        ("stop_sequences: reply() has no such option; use stop", {"stop_sequences": ["a"]}),
        ("token: reply() has no such option; it is an option of Client(...)", {"token": "a"}),
        ("foo: reply() has no such option; there are: affinity, best_of", {"foo": 1}),
        ("timeout: is the same as timeout_seconds", {"timeout": 1, "timeout_seconds": 1}),
        ("timeout: must be a number of seconds, not str", {"timeout": "1"}),
        ("stop: must be text, or several", {"stop": 5}),
        ("cache_tags: must be text, or several, not int", {"cache_tags": 5}),
        ("cache_tags: must be text, not int", {"cache_tags": ["a", 5]}),
        ("stopping.max_tokens: must be a whole number, not float", {"max_tokens": 1.5}),
        ("sampling.top_p: must be a number, not bool", {"top_p": True}),
        ("variables['a']: must be text, not int", {"variables": {"a": 1}}),
        ("request_id: must be text, not int", {"request_id": 5}),
        ("metadata['a']: must be text, not int", {"metadata": {"a": 5}}),
        ("constraint: must be Regex, Choices", {"constraint": "[0-9]+"}),
        ("constraint.regex: must be text, not int", {"constraint": Regex(5)}),
        ("constraint.grammar: must be text, not int", {"constraint": Grammar(5)}),
        ("constraint.form: must be text, not NoneType", {"constraint": Form(None)}),
        ("constraint.choices.choices: must be text, not int", {"constraint": Choices([1])}),
        (
            "constraint.prompt_characters: must be a whole number, not str",
            {"constraint": Regex("a", prompt_characters="1")},
        ),
        ("variables: each name: must be text, not int", {"variables": {1: "a"}}),
        ("sampling.logit_bias: must be numbers by token ids", {"logit_bias": {"5": 1}}),
        ("sampling.logit_bias: must be numbers by token ids", {"logit_bias": {5: "1"}}),
    ],
)
def test_what_has_no_plain_meaning_is_a_type_error(
    service: FakeService, told: str, options: dict[str, Any]
) -> None:
    if isinstance(options.get("sampling"), dict):
        options = {"sampling": SamplingParams(temperature=0.5), "temperature": 0.25}
    with pytest.raises(TypeError) as raised:
        asked(service, **options)
    assert str(raised.value).startswith(told)
    assert service.requests == []


@pytest.mark.parametrize(
    ("told", "options"),
    [
        ('cache_mode: must be one of "default", "bypass"', {"cache_mode": "never"}),
        ("sampling.seed: must be a whole number from 0 to 2^64 - 1, not -1", {"seed": -1}),
        ("timeout: must be above 0 seconds", {"timeout": 0}),
        ("model: must be Unicode text", {"model": "\ud800"}),
    ],
)
def test_a_value_that_is_out_of_range_is_a_value_error(
    service: FakeService, told: str, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"^") as raised:
        asked(service, **options)
    assert str(raised.value).startswith(told)
    assert service.requests == []


def test_a_wrong_option_of_a_conversation_is_told_when_it_is_made(service: FakeService) -> None:
    for client in (service.client(), service.async_client()):
        with pytest.raises(TypeError, match=r"^tempreature: conversation\(\) has no such option"):
            client.conversation(tempreature=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__qualname__)
def test_help_tells_every_keyword(method: Callable[..., Any]) -> None:
    parameters = inspect.signature(method).parameters
    for name in WholeReplyOptions.__optional_keys__:
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert f"\n{name}: " in (method.__doc__ or "")
    assert "options" not in parameters


def test_a_refused_request_is_a_value_error_and_names_its_field(service: FakeService) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        asked(service, seed=-1)
    [violation] = raised.value.violations
    assert isinstance(raised.value, ValueError)
    assert str(raised.value) == f"{violation.field}: {violation.description}"
