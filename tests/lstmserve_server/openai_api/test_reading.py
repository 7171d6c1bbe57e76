"""Every field of a request is read, or refused by name; none is ignored."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.openai_api.errors import ApiError
from lstmserve_server.openai_api.fields import NOT_SERVED
from lstmserve_server.openai_api.reading import read_request
from lstmserve_server.openai_api.request import Asked
from lstmserve_server.rpc.validation import MAX_VIOLATIONS
from support.fuzzing import bounded

HELLO = [{"role": "user", "content": "hello"}]
TEXT = {"type": "text", "text": "a"}


def complete(**fields: object) -> Asked:
    return read_request({"prompt": "hello", **fields}, is_chat=False)


def chat(**fields: object) -> Asked:
    return read_request({"messages": HELLO, **fields}, is_chat=True)


@pytest.mark.parametrize(
    ("model", "name", "version"),
    [
        ("", "", ""),
        ("tiny", "tiny", ""),
        ("tiny/2", "tiny", "2"),
        ("tiny:2", "tiny", "2"),
        ("a/b/c", "a/b/c", ""),
    ],
)
def test_a_version_may_follow_the_name(model: str, name: str, version: str) -> None:
    request = complete(model=model).to_stream()
    assert (request.model, request.model_version) == (name, version)


def test_nothing_follows_the_models_defaults() -> None:
    (request,) = complete().to_whole()
    assert request == pb.GenerateReplyRequest(prompt="hello")
    nothing = dict.fromkeys(["temperature", "stop", "n", "stream", "tools", "response_format"])
    assert complete(**nothing).to_whole() == [request]


def test_what_nests_too_deep_to_be_shown_is_refused_by_name() -> None:
    deep: list[object] = []
    for _ in range(sys.getrecursionlimit()):
        deep = [deep]
    with pytest.raises(ApiError) as raised:
        complete(max_tokens=deep)
    assert (raised.value.status, raised.value.body["error"]["param"]) == (400, "max_tokens")


def test_seeds_have_sixty_four_bits_also_as_text() -> None:
    for seed in (2**64 - 1, str(2**64 - 1)):
        assert complete(seed=seed).to_stream().sampling.seed == 2**64 - 1


def test_roles_become_turns() -> None:
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "tool_calls": None, "annotations": []},
        {"role": "user", "content": [{"type": "text", "text": "c"}, {"type": "text", "text": "d"}]},
    ]
    turns = chat(messages=messages).to_stream().conversation.turns
    assert [(turn.role, turn.text) for turn in turns] == [
        (pb.ROLE_USER, "a"),
        (pb.ROLE_AGENT, "b"),
        (pb.ROLE_USER, "cd"),
    ]


@pytest.mark.parametrize(("given", "asked"), [({}, None), ({"top_logprobs": 4}, 4)])
def test_log_probabilities_of_a_chat_are_asked_for_by_two_fields(
    given: dict[str, int], asked: int | None
) -> None:
    assert chat(logprobs=True, **given).to_stream().sampling.logprobs == (asked or 0)
    assert not chat(logprobs=False).to_stream().sampling.HasField("logprobs")


@pytest.mark.parametrize("is_chat", [False, True])
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"nothing": []}, "nothing"),
        ({"tools": [{}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"functions": [{}]}, "functions"),
        ({"echo": True}, "echo"),
        ({"suffix": "."}, "suffix"),
        ({"audio": {}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"store": True}, "store"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"logit_bias": {"a": 1}}, "logit_bias"),
        ({"logit_bias": [1]}, "logit_bias"),
        ({"stop": ["a"] * 9}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"stream": 1}, "stream"),
        ({"stream": True, "n": 2}, "n"),
        ({"stream": True, "best_of": 2}, "best_of"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"x": 1}}, "stream_options.x"),
        (
            {"stream": True, "stream_options": {"include_obfuscation": True}},
            "stream_options.include_obfuscation",
        ),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"verbosity": "high"}, "verbosity"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"prompt_cache_retention": "24h"}, "prompt_cache_retention"),
        ({"moderation": {"model": "m"}}, "moderation"),
        ({"metadata": {"a": "b"}}, "metadata"),
        ({"stream": True, "stream_options": []}, "stream_options"),
        (
            {"stream": True, "stream_options": {"include_usage": "yes"}},
            "stream_options.include_usage",
        ),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_completion_tokens"),
        ({"model": ["tiny"]}, "model"),
        ({"user": {}}, "user"),
        ({"user": "a" * 513}, "user"),
        ({"safety_identifier": 1}, "safety_identifier"),
        ({"user": "ann", "safety_identifier": "bob"}, "safety_identifier"),
        ({"user": "a@b.example", "safety_identifier": "A@b.example"}, "safety_identifier"),
        ({"prompt_cache_key": 1}, "prompt_cache_key"),
        ({"response_format": "json"}, "response_format.type"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": ["text"]}}, "response_format.type"),
        ({"response_format": {"type": "text", "a": 1}}, "response_format.a"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}, "b": 1}}},
            "response_format.json_schema.b",
        ),
        ({"response_format": {"type": "json_object"}, "regex": "a"}, "response_format"),
        ({"response_format": {"type": "json_object"}, "json_schema": "{}"}, "response_format"),
        ({"regex": "a", "form": "b"}, "form"),
        ({"cache_mode": "never"}, "cache_mode"),
    ],
)
def test_what_is_not_served_is_refused_by_name(
    fields: dict[str, Any], param: str, is_chat: bool
) -> None:
    with pytest.raises(ApiError) as refused:
        (chat if is_chat else complete)(**fields)
    assert (refused.value.status, refused.value.param) == (400, param)
    assert str(refused.value).startswith(f"{param}: ")


@pytest.mark.parametrize("prompt", [None, 1, [], [1, 2], [[1]], ["a"] * 17, ["a", 1], {}])
def test_a_prompt_is_text(prompt: object) -> None:
    with pytest.raises(ApiError, match="prompt: must be a text"):
        complete(prompt=prompt)


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        (None, "messages"),
        ([], "messages"),
        ("hello", "messages"),
        (["hello"], "messages[0]"),
        ([{"role": "system", "content": "be kind"}, *HELLO], "messages[0].role"),
        ([{"role": "developer", "content": [TEXT]}, *HELLO], "messages[0].role"),
        ([{"role": "system", "content": 1}, *HELLO], "messages[0].content"),
        ([{"role": "system", "content": "", "name": "a"}, *HELLO], "messages[0].name"),
        ([{"role": "system", "content": ""}], "messages"),
        ([*HELLO, {"role": "assistant", "content": "a"}], "messages[1].role"),
        ([{"role": "tool", "content": ""}, *HELLO], "messages[0].role"),
        ([*HELLO, {"role": "user", "content": None}], "messages[1].content"),
        ([{"role": ["user"], "content": "a"}], "messages[0].role"),
        ([{"content": "a"}], "messages[0].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([*HELLO, {"role": "user", "content": 1}], "messages[1].content"),
        ([{"role": "user", "content": "a", "name": "ann"}], "messages[0].name"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0]"),
        ([{"role": "user", "content": ["a"]}], "messages[0].content[0].type"),
    ],
)
def test_a_message_is_of_a_known_role_and_text(messages: object, param: str) -> None:
    with pytest.raises(ApiError) as refused:
        chat(messages=messages)
    assert refused.value.param == param


@pytest.mark.parametrize("message", [1, {}, {"role": "user"}, {"role": "system", "content": "a"}])
def test_the_first_fifty_wrong_messages_are_told(message: object) -> None:
    """What comes behind them is not looked at, since it is not known yet who sends it."""
    with pytest.raises(ApiError) as refused:
        chat(messages=[message] * 100_000)
    assert str(refused.value).count("messages[") == MAX_VIOLATIONS


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ApiError) as refused:
        complete(temperature="a", seed=-1, nothing=1)
    assert all(f"{name}: " in str(refused.value) for name in ("temperature", "seed", "nothing"))


names = st.sampled_from(
    [*NOT_SERVED, "prompt", "messages", "stream_options", "response_format", "seed", "logprobs"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@bounded(300)
@given(st.dictionaries(names | st.text(), values, max_size=5), st.booleans())
def test_any_object_is_read_or_refused_in_words_that_can_be_sent(
    document: dict[str, Any], is_chat: bool
) -> None:
    assert find_outcome(document, is_chat=is_chat) in {200, 400}


def find_outcome(document: dict[str, Any], *, is_chat: bool) -> int:
    try:
        read_request(document, is_chat=is_chat).to_whole()
    except ApiError as error:
        json.dumps(error.body)
        return error.status
    return 200
