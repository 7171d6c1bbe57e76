"""Why a reply ended, as OpenAI's API tells it: what is complete is never called cut off."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from support.openai_api import Api, read_events


class Note(BaseModel):
    """Whose text the model may write as long as it likes."""

    text: str


@pytest.mark.parametrize("max_tokens", [24, 60])
def test_a_reply_of_a_class_is_parsed_also_where_max_tokens_closes_it(
    api: Api, max_tokens: int
) -> None:
    asked: Any = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "a note"}],
        "response_format": Note,
        "seed": 3,
        "temperature": 1,
        "max_tokens": max_tokens,
    }
    found = api.client().chat.completions.parse(**asked)
    assert isinstance(found.choices[0].message.parsed, Note)
    with api.client().chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion()
    assert streamed.choices[0].message.parsed == found.choices[0].message.parsed
    assert {found.choices[0].finish_reason, streamed.choices[0].finish_reason} == {"stop"}


@pytest.mark.parametrize("path", ["/completions", "/chat/completions"])
@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    "form",
    [
        {"regex": "[a-z]{8}"},
        {"choices": ["abcdefgh"]},
        {"json_schema": '{"type": "string", "minLength": 6}'},
        {"grammar": "start: /[a-z]{8}/"},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_a_reply_that_keeps_a_form_never_ends_with_length(
    api: Api, path: str, is_streamed: bool, form: dict[str, object]
) -> None:
    message = {"messages": [{"role": "user", "content": "a"}], "prompt": "a"}
    del message["prompt" if path.startswith("/chat") else "messages"]
    asked = {**message, **form, "seed": 1, "max_tokens": 12, "stream": is_streamed}
    answered = api.post(path, asked)
    assert answered.status == 200
    assert find_reasons(answered.body, is_streamed=is_streamed) == ["stop"]


def test_a_reply_of_any_text_that_is_cut_off_ends_with_length(api: Api) -> None:
    asked = {"prompt": "a", "max_tokens": 3, "min_tokens": 3, "response_format": {"type": "text"}}
    for is_streamed in (False, True):
        answered = api.post("/completions", {**asked, "stream": is_streamed})
        assert find_reasons(answered.body, is_streamed=is_streamed) == ["length"]


def find_reasons(body: bytes, *, is_streamed: bool) -> list[str]:
    documents = read_events(body)[:-1] if is_streamed else [json.loads(body)]
    reasons = [choice["finish_reason"] for found in documents for choice in found["choices"]]
    return [reason for reason in reasons if reason]
