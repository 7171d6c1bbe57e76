"""A client of OpenAI's API that is not ours gets the replies that everybody gets."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import openai
import pytest
from jsonschema import Draft202012Validator
from openai.types import CompletionUsage

from benchmarks.testbed.waiting import until
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_server.openai_api.replies import FINISH_REASONS
from support.http_calls import JSON_TYPE
from support.metrics_page import MetricsPage
from support.openai_api import Api, read_events, serve_api
from support.stores import copy_version, edit_manifest
from support.whole_reply import WholeReply
from support.wire_requests import PROMPTS, make_request

SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["Rome", "Oslo"]}, "nights": {"type": "integer"}},
    "required": ["city", "nights"],
    "additionalProperties": False,
}
UNCACHED = {"cache_mode": "bypass"}
LONG = {"min_tokens": 512, "max_tokens": 512, **UNCACHED}


def same_of(prompt: str, seed: int, **sampling: object) -> pb.GenerateRequest:
    return make_request(prompt, seed=seed, max_tokens=24, **sampling)


def check_usage(usage: CompletionUsage | None, reply: WholeReply) -> None:
    assert usage is not None
    assert usage.prompt_tokens == reply.prompt_tokens
    assert usage.completion_tokens == reply.generated_tokens
    assert usage.total_tokens == reply.prompt_tokens + reply.generated_tokens


def test_a_completion_is_the_reply_that_generate_streams(api: Api) -> None:
    expected = api.served.ask(same_of("hello", 7, temperature=0.9, top_p=0.8))
    found = api.client().completions.create(
        model="tiny", prompt="hello", seed=7, temperature=0.9, top_p=0.8, max_tokens=24
    )
    (choice,) = found.choices
    assert choice.text == expected.text != ""
    assert choice.finish_reason == FINISH_REASONS[expected.finish_reason]
    assert found.object == "text_completion"
    assert (found.model, found.system_fingerprint) == ("tiny/1", expected.model[2])
    check_usage(found.usage, expected)
    assert choice.model_extra["lstmserve"]["seed"] == "7"


def test_a_stream_is_the_same_in_pieces(api: Api) -> None:
    expected = api.served.ask(
        make_request("hello", seed=7, temperature=0.9, min_tokens=512, max_tokens=512)
    )
    pieces = [
        *api.client().completions.create(
            model="tiny/1",
            prompt="hello",
            seed=7,
            temperature=0.9,
            stream=True,
            stream_options={"include_usage": True},
            extra_body=LONG,
        )
    ]
    *with_choices, last = pieces
    assert "".join(piece.choices[0].text for piece in with_choices) == expected.text
    assert len(with_choices) > 2
    reasons = [piece.choices[0].finish_reason for piece in with_choices]
    assert reasons == [None] * (len(reasons) - 1) + [FINISH_REASONS[expected.finish_reason]]
    assert last.choices == []
    check_usage(last.usage, expected)
    assert len({piece.id for piece in pieces}) == 1


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_chat_is_the_conversation_of_generate(api: Api, is_streamed: bool) -> None:
    request = same_of("", 3, temperature=1)
    for role, text in ((pb.ROLE_USER, "hi"), (pb.ROLE_AGENT, "yes?"), (pb.ROLE_USER, "help me")):
        request.conversation.turns.add(role=role, text=text)
    expected = api.served.ask(request)
    found: Any = api.client().chat.completions.create(
        model="tiny:1",
        messages=[
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "yes?", "refusal": None},
            {"role": "user", "content": [{"type": "text", "text": t} for t in ("help", " me")]},
        ],
        seed=3,
        temperature=1,
        max_completion_tokens=24,
        stream=is_streamed,
    )
    if is_streamed:
        deltas = [piece.choices[0].delta for piece in found]
        assert deltas[0].role == "assistant"
        assert "".join(delta.content or "" for delta in deltas) == expected.text
    else:
        assert found.choices[0].message.role == "assistant"
        assert found.choices[0].message.content == expected.text
        check_usage(found.usage, expected)


def test_a_stop_sequence_and_other_parameters_are_those_of_the_wire(api: Api) -> None:
    sampling = {"temperature": 1.2, "presence_penalty": 0.5, "frequency_penalty": -0.5}
    ours = {"top_k": 30, "min_p": 0.01, "repetition_penalty": 1.1}
    request = same_of(PROMPTS[0], 5, **sampling, **ours)
    request.sampling.logit_bias[7] = 2.5
    request.stopping.stop_sequences.extend(["e", "zz"])
    expected = api.served.ask(request)
    assert expected.stop_sequence == "e"
    found = api.client().completions.create(
        model="tiny",
        prompt=PROMPTS[0],
        seed=5,
        max_tokens=24,
        stop=["e", "zz"],
        logit_bias={"7": 2.5},
        extra_body=ours,
        **sampling,
    )
    assert found.choices[0].text == expected.text
    assert found.choices[0].finish_reason == "stop"
    assert found.choices[0].model_extra["lstmserve"]["stop_sequence"] == "e"


def test_several_choices_are_the_replies_of_the_next_seeds_for_each_prompt(api: Api) -> None:
    found = api.client().completions.create(
        model="tiny", prompt=["hello", "where"], n=2, best_of=3, seed=8, temperature=1, max_tokens=9
    )
    assert [choice.index for choice in found.choices] == [0, 1, 2, 3]
    for prompt, choices in (("hello", found.choices[:2]), ("where", found.choices[2:])):
        seeds = [int(choice.model_extra["lstmserve"]["seed"]) for choice in choices]
        assert len(set(seeds) & {8, 9, 10}) == 2
        for seed, choice in zip(seeds, choices, strict=True):
            request = make_request(prompt, seed=seed, temperature=1, max_tokens=9)
            assert choice.text == api.served.ask(request).text
    prompts = {prompt: api.served.ask(make_request(prompt)) for prompt in ("hello", "where")}
    assert found.usage is not None
    assert found.usage.prompt_tokens == sum(each.prompt_tokens for each in prompts.values())


@pytest.mark.parametrize("is_streamed", [False, True])
def test_log_probabilities_are_those_of_the_wire(api: Api, is_streamed: bool) -> None:
    expected = api.served.ask(same_of("hello", 4, temperature=1.5, logprobs=3))
    entries = [pb.TokenLogprobs.FromString(entry) for entry in expected.logprobs]
    found: Any = api.client().chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "hello"}],
        seed=4,
        temperature=1.5,
        max_tokens=24,
        logprobs=True,
        top_logprobs=3,
        stream=is_streamed,
    )
    pieces = [*found] if is_streamed else [found]
    told = [
        entry
        for piece in pieces
        for entry in (piece.choices[0].logprobs.content if piece.choices[0].logprobs else [])
    ]
    assert [entry.logprob for entry in told] == pytest.approx([e.logprob for e in entries], abs=0)
    assert [entry.token for entry in told] == [entry.text for entry in entries]
    tops = [[(top.token, top.logprob) for top in entry.top_logprobs] for entry in told]
    assert tops == [[(top.text, top.logprob) for top in entry.top] for entry in entries]


def test_log_probabilities_of_a_completion_are_lists(api: Api) -> None:
    found = api.client().completions.create(
        model="tiny", prompt="hello", seed=4, max_tokens=5, logprobs=2
    )
    told = found.choices[0].logprobs
    assert told is not None
    assert told.tokens is not None
    assert told.token_logprobs is not None
    assert told.top_logprobs is not None
    assert found.usage is not None
    sizes = [len(told.tokens), len(told.token_logprobs), len(told.top_logprobs)]
    assert sizes == [found.usage.completion_tokens] * 3
    assert all(value <= 0 for value in told.token_logprobs)


@pytest.mark.parametrize("seed", range(3))
def test_a_schema_is_kept(api: Api, seed: int) -> None:
    found = api.client().chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "a trip"}],
        seed=seed,
        temperature=1,
        max_tokens=200,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "trip", "schema": SCHEMA, "strict": True},
        },
    )
    assert found.choices[0].message.content is not None
    Draft202012Validator(SCHEMA).validate(json.loads(found.choices[0].message.content))


def test_any_object_and_forms_of_our_own_are_kept(api: Api) -> None:
    def ask(**form: object) -> str:
        found = api.client().completions.create(
            model="tiny", prompt="a trip", seed=1, max_tokens=60, extra_body=form
        )
        return found.choices[0].text

    assert isinstance(json.loads(ask(response_format={"type": "json_object"})), dict)
    assert ask(choices=["yes", "no"]) in {"yes", "no"}
    assert len(ask(regex="[0-9]{4}")) == 4
    assert ask(response_format={"type": "text"}) == ask()


def test_models_are_listed_by_name_and_by_version(api: Api) -> None:
    models = api.client().models
    assert [model.id for model in models.list()] == ["tiny", "tiny/1"]
    assert models.retrieve("tiny").id == "tiny"
    assert models.retrieve("tiny/1").object == "model"
    for unknown in ("nope", "tiny/2", "tiny/1/2"):
        with pytest.raises(openai.NotFoundError) as refused:
            models.retrieve(unknown)
        assert refused.value.code == "model_not_found"


def test_a_model_was_made_when_its_version_was(api: Api, tiny_store: Path, tmp_path: Path) -> None:
    manifest = json.loads((tiny_store / "tiny" / "1" / "manifest.json").read_text())
    made = int(datetime.fromisoformat(manifest["created"]["at"]).timestamp())
    models = api.client().models
    found = [*models.list(), models.retrieve("tiny"), models.retrieve("tiny/1")]
    assert {model.created for model in found} == {made}
    copy = copy_version(tiny_store / "tiny" / "1", tmp_path)
    edit_manifest(copy, created={**manifest["created"], "at": "in May"})
    with serve_api(tmp_path) as other:
        assert {model.created for model in other.client().models.list()} == {0}


def test_errors_are_of_the_clients_kinds_and_name_what_was_written(api: Api) -> None:
    client = api.client()
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(model="tiny", prompt="hi", temperature=3)
    assert refused.value.param == "temperature"
    assert "must be from 0 to 2, not 3" in refused.value.message
    with pytest.raises(openai.NotFoundError) as refused_model:
        client.completions.create(model="nope", prompt="hi", stream=True)
    assert (refused_model.value.code, refused_model.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as refused_tools:
        client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": "hi"}],
            tools=[{"type": "function", "function": {"name": "f"}}],
        )
    assert refused_tools.value.param == "tools"
    with pytest.raises(openai.BadRequestError) as refused_tokens:
        client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": "hi"}],
            max_completion_tokens=100_000,
        )
    assert refused_tokens.value.param == "max_completion_tokens"
    with pytest.raises(openai.BadRequestError) as refused_turns:
        client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "hi"}] * 999
        )
    assert refused_turns.value.param == "messages"
    with pytest.raises(openai.BadRequestError) as refused_prompt:
        client.completions.create(model="tiny", prompt=["hi", " "])
    assert refused_prompt.value.param == "prompt[1]"


def test_the_request_id_is_the_callers_and_in_every_response(api: Api) -> None:
    named = {**JSON_TYPE, "x-request-id": "mine-1"}
    message = {"prompt": "hi", "max_tokens": 2}
    for status, body in ((200, message), (400, {"prompt": ""}), (200, {**message, "stream": True})):
        answered = api.post("/completions", body, named)
        assert (answered.status, answered.headers["x-request-id"]) == (status, "mine-1")
    unnamed = api.post("/completions", message)
    assert unnamed.json()["id"] == f"cmpl-{unnamed.headers['x-request-id']}"


def test_calls_are_counted_and_logged_as_everybodys(api: Api) -> None:
    before = api.served.page().total("generated_tokens_total")
    named = {**JSON_TYPE, "x-request-id": "logged-1"}
    message = {"prompt": "hi", "user": "ann", "min_tokens": 9, "max_tokens": 9, **UNCACHED}
    assert api.post("/completions", message, named).status == 200
    until(lambda: find_entry(api, "logged-1"), "its line in the log")
    entry = find_entry(api, "logged-1")
    assert (entry["rpc"], entry["code"], entry["caller"]) == ("GenerateReply", "OK", "ann")
    assert api.served.page_once_idle().total("generated_tokens_total") == before + 9


def find_entry(api: Api, request_id: str) -> dict[str, Any]:
    entries = api.served.process.read_entries()
    return next((entry for entry in entries if entry.get("request_id") == request_id), {})


def test_a_stream_ends_with_done_and_is_passed_on_unbuffered(api: Api) -> None:
    answered = api.post("/completions", {"prompt": "hi", "stream": True, "max_tokens": 3})
    assert answered.headers["content-type"].startswith("text/event-stream")
    assert answered.headers["x-accel-buffering"] == "no"
    events = read_events(answered.body)
    assert events[-1] == "[DONE]"
    assert all(event["object"] == "text_completion" for event in events[:-1])


async def test_thirty_two_streams_at_once_give_what_each_gives_alone(api: Api) -> None:
    async with api.aio_client() as client:

        async def ask(seed: int) -> str:
            pieces = await client.completions.create(
                model="tiny",
                prompt="hello",
                seed=seed,
                temperature=1,
                max_tokens=24,
                stream=True,
                extra_body=UNCACHED,
            )
            return "".join([piece.choices[0].text async for piece in pieces])

        together = await asyncio.gather(*map(ask, range(32)))
    assert together == [api.served.ask(same_of("hello", n, temperature=1)).text for n in range(32)]


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_client_that_leaves_ends_its_reply(api: Api, is_streamed: bool) -> None:
    """Or a reply after it: on a busy machine one may be whole before its client has left."""
    rpc = "Generate" if is_streamed else "GenerateReply"
    before = count_canceled(api.served.page(), rpc)
    message = {"prompt": "hello", "stream": is_streamed, "logprobs": 20, **LONG}

    def leave() -> bool:
        with api.send("/completions", message) as connection:
            if is_streamed:
                assert connection.recv(1)
        return count_canceled(api.served.page_once_idle(), rpc) > before

    until(leave, "a reply that ended when its client left")


def count_canceled(page: MetricsPage, rpc: str) -> float:
    return page.counted("requests_total", "rpc", "code").get((rpc, "CANCELLED"), 0)
