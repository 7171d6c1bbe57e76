"""What asks for nothing is taken, and changes nothing, whatever field it stands in."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.openai_api.fields import NOT_SERVED
from lstmserve_server.openai_api.reading import read_request
from support.http_calls import JSON_TYPE
from support.openai_api import Api

HELLO = {"role": "user", "content": "hello"}
NOTHINGS: tuple[dict[str, Any], ...] = (
    *({name: None} for name in (*NOT_SERVED, "nothing", "top_logprobs", "json_schema", "user")),
    *({name: value} for name, values in NOT_SERVED.items() for value in values),
    {"response_format": {"type": "text"}},
    {"response_format": {"type": "text", "json_schema": None}},
    {"logit_bias": {}},
    {"logit_bias": {"5": None}},
    {"stop": []},
    {"n": 1},
    {"stream": False},
    {"stream_options": {}},
    {"stream_options": {"include_usage": None, "include_obfuscation": None, "x": None}},
    {"stream_options": {"include_usage": False, "include_obfuscation": False}},
    {"user": ""},
    {"safety_identifier": ""},
    {"prompt_cache_key": ""},
    {"prompt_cache_key": "a hint: changes nothing, wherever it stands"},
    {"model": ""},
    {"variables": {}},
    {"cache_tags": []},
)


def read(fields: dict[str, Any], *, is_chat: bool) -> pb.GenerateReplyRequest:
    """The request that these fields become, without what is set to nothing."""
    given = {"messages": [HELLO]} if is_chat else {"prompt": "hello"}
    (request,) = read_request({**given, **fields}, is_chat=is_chat).to_whole()
    for name in ("sampling", "stopping"):
        if not getattr(request, name).ByteSize():
            request.ClearField(name)
    if request.num_replies == 1:
        request.ClearField("num_replies")
    return request


@pytest.mark.parametrize("is_chat", [False, True])
@pytest.mark.parametrize("fields", NOTHINGS, ids=str)
def test_it_is_as_good_as_absent(fields: dict[str, Any], is_chat: bool) -> None:
    assert read(fields, is_chat=is_chat) == read({}, is_chat=is_chat)


@pytest.mark.parametrize(
    "fields", [{"logprobs": False, "top_logprobs": 0}, {"top_logprobs": 0}, {"logprobs": None}]
)
def test_no_log_probabilities_may_be_asked_for(fields: dict[str, Any]) -> None:
    assert read(fields, is_chat=True) == read({}, is_chat=True)


def test_the_nulls_of_a_schema_are_values() -> None:
    schema = {"properties": {"a": {"const": None, "default": None}}}
    form = {"type": "json_schema", "json_schema": {"schema": schema, "strict": None, "name": None}}
    request = read({"response_format": form}, is_chat=True)
    assert request.constraint.json_schema.count("null") == 2


@pytest.mark.parametrize(
    "silent",
    [
        {"role": "system", "content": ""},
        {"role": "system", "content": " \n"},
        {"role": "system", "content": None},
        {"role": "system"},
        {"role": "developer", "content": []},
        {"role": "developer", "content": [{"type": "text", "text": ""}]},
        {"role": "assistant", "content": None},
        {"role": "assistant"},
        {"role": "assistant", "content": "", "tool_calls": [], "refusal": None, "name": ""},
    ],
)
def test_a_message_that_says_nothing_is_left_out(silent: dict[str, Any]) -> None:
    for messages in ([silent, HELLO], [HELLO, silent]):
        assert read({"messages": messages}, is_chat=True) == read({}, is_chat=True)


def test_errors_count_the_messages_that_were_left_out(api: Api) -> None:
    silent = [{"role": "system", "content": ""}, {"role": "assistant", "content": None}]
    answered = api.post("/chat/completions", {"messages": [*silent, {**HELLO, "content": " "}]})
    assert answered.json()["error"]["param"] == "messages[2].content"


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_client_may_say_all_of_it_at_once(api: Api, is_streamed: bool) -> None:
    """Beside a reply of its own: what is nothing changes no bit of it."""
    asked: Any = {"model": "tiny", "messages": [HELLO], "seed": 3, "max_tokens": 9}
    nothing: Any = {
        "audio": None,
        "function_call": "auto",
        "functions": [],
        "logit_bias": {},
        "logprobs": False,
        "metadata": {},
        "modalities": ["text"],
        "moderation": None,
        "n": 1,
        "parallel_tool_calls": False,
        "prediction": None,
        "prompt_cache_options": {},
        "reasoning_effort": "none",
        "response_format": {"type": "text"},
        "service_tier": "auto",
        "stop": None,
        "store": False,
        "stream_options": {"include_obfuscation": False},
        "tool_choice": "none",
        "tools": [],
        "top_logprobs": 0,
        "verbosity": "medium",
    }
    client = api.client().chat.completions
    expected = client.create(**asked).choices[0].message.content
    found = client.create(
        **asked, **nothing, stream=is_streamed, extra_body={"nothing": None, "cache_tags": []}
    )
    if is_streamed:
        assert "".join(piece.choices[0].delta.content or "" for piece in found) == expected
    else:
        assert found.choices[0].message.content == expected


def test_a_completion_of_langchain_is_served(api: Api) -> None:
    """Which sends the defaults of its own fields, null among them."""
    sent = {"frequency_penalty": 0, "presence_penalty": 0, "logprobs": None, "seed": None, "n": 1}
    for is_streamed in (False, True):
        message = {"prompt": "hi", "max_tokens": 3, "top_p": 1, **sent, "stream": is_streamed}
        assert api.post("/completions", message, JSON_TYPE).status == 200


def test_instructions_are_refused_with_what_to_write_instead(api: Api) -> None:
    messages: Any = [{"role": "system", "content": "be kind"}, HELLO]
    with pytest.raises(openai.BadRequestError) as refused:
        api.client().chat.completions.create(model="tiny", messages=messages)
    assert refused.value.param == "messages[0].role"
    for words in ("without instructions", "into the user's message", "leave this one out"):
        assert words in refused.value.message


def test_the_last_message_is_the_users_in_words_of_this_api(api: Api) -> None:
    messages = [HELLO, {"role": "assistant", "content": "yes?"}]
    error = api.post("/chat/completions", {"messages": messages}).json()["error"]
    assert error["param"] == "messages[1].role"
    assert error["message"].endswith("must be user: the reply answers the last message")
