"""Errors speak of what was sent, in the words of this API, with the bounds that are in force."""

from __future__ import annotations

from typing import Any

import pytest

from lstmserve_server.engine.constraints.grammar import GrammarError, too_complex
from lstmserve_server.openai_api.words import reword
from support.http_calls import JSON_TYPE
from support.openai_api import Api


def refuse(api: Api, fields: dict[str, Any], path: str = "/completions") -> tuple[str, str]:
    """Which field is refused, and in which words."""
    given: dict[str, Any] = {"prompt": "hello"}
    if path.startswith("/chat"):
        given = {"messages": [{"role": "user", "content": "hello"}]}
    answered = api.post(path, {**given, **fields}, JSON_TYPE)
    assert answered.status == 400
    error = answered.json()["error"]
    return error["param"], error["message"]


@pytest.mark.parametrize("value", [-1, -(10**30), 2**32 - 1, 2**32, 2**64, "-7", 600])
@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("max_tokens", "from 1 to 512"),
        ("max_completion_tokens", "from 1 to 512"),
        ("min_tokens", "from 0 to 24"),
        ("top_k", "from 0 to"),
        ("logprobs", "from 0 to 20"),
        ("n", "from 1 to 16"),
        ("best_of", "from 1 to 16"),
    ],
)
def test_a_number_has_one_range_which_is_the_real_one(
    api: Api, name: str, bounds: str, value: int | str
) -> None:
    if name == "top_k" and value == 600:
        value = 100_000  # which is no token of the model
    default = {} if "max" in name else {"max_tokens": 24}
    param, message = refuse(api, {**default, name: value, "temperature": 1})
    assert param == name
    assert f"{name}: must be {bounds}" in message
    assert f"not {value}" in message


@pytest.mark.parametrize("fields", [{"top_logprobs": -1}, {"top_logprobs": 2**32}])
def test_so_has_the_number_of_candidates_of_a_chat(api: Api, fields: dict[str, int]) -> None:
    param, message = refuse(api, {"logprobs": True, **fields}, "/chat/completions")
    assert param == "top_logprobs"
    assert message.endswith(f"must be from 0 to 20, not {fields['top_logprobs']}")


def test_it_is_that_of_a_stream_and_of_one_prompt_out_of_several(api: Api) -> None:
    for fields in ({"stream": True}, {"prompt": ["hi", "hello"]}):
        _, message = refuse(api, {**fields, "max_tokens": -1})
        assert message == "max_tokens: must be from 1 to 512, not -1"


def test_characters_of_the_prompt_are_no_more_than_there_are(api: Api) -> None:
    param, message = refuse(api, {"regex": "[a-z]+", "prompt_characters": -3})
    assert param == "prompt_characters"
    assert "must be at most 5, not -3" in message


@pytest.mark.parametrize("value", [1.5, "many", True, [1], {}])
@pytest.mark.parametrize("name", ["max_tokens", "top_k", "n"])
def test_what_is_no_whole_number_is_told_of_no_range(api: Api, name: str, value: object) -> None:
    param, message = refuse(api, {name: value})
    assert (param, "must be a whole number, not " in message) == (name, True)
    assert "4294967295" not in message


@pytest.mark.parametrize("token_id", ["-1", "a", "4294967296", "100000"])
def test_token_ids_are_those_of_the_model(api: Api, token_id: str) -> None:
    param, message = refuse(api, {"logit_bias": {token_id: 1}})
    assert param.partition("[")[0] == "logit_bias"
    assert "token ids" in message
    assert "4294967295" not in message


@pytest.mark.parametrize(
    "fields",
    [
        {"min_confidence": 0.5},
        {"variables": {"a": "b"}},
        {"regex": "a" * 9000},
        {"cache_mode": "never"},
        {"priority": "CRITICAL"},
        {"best_of": 2, "temperature": 0},
        {"stop": [""]},
        {"choices": []},
        {"form": "nope"},
    ],
)
def test_no_word_of_grpc_is_in_an_error(api: Api, fields: dict[str, Any]) -> None:
    param, message = refuse(api, fields)
    assert param.partition("[")[0] in fields
    for word in (
        "Classif",
        "ROLE_",
        "sampling.",
        "stopping.",
        "constraint.",
        "num_replies",
        "List",
    ):
        assert word not in message


def test_a_form_that_is_too_complex_is_told_of_by_this_api() -> None:
    assert "(max_tokens)" in reword(str(too_complex(GrammarError("too slow"))))
