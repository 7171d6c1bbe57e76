"""Replies that keep a form, as callers ask for them."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import jsonschema
import pytest
from google.rpc.error_details_pb2 import BadRequest

from benchmarks.testbed import preloaded
from benchmarks.testbed.process import run_program
from benchmarks.testbed.server import ServerProcess, command
from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve.v1 import model_service_pb2 as model_pb
from lstmserve.v1.generation_service_pb2_grpc import GenerationServiceStub as GenerationStub
from lstmserve.v1.model_service_pb2_grpc import ModelServiceStub as ModelStub
from lstmserve_bundle.bundle import describe_file
from lstmserve_bundle.fingerprint import FINGERPRINT_NAME
from lstmserve_bundle.forms import FORMS_NAME
from lstmserve_bundle.manifest import TemplateManifest, read_manifest, write_manifest
from support.calls import find_detail
from support.engine_processes import engines_of

ORDER = {
    "type": "object",
    "properties": {
        "topic": {"enum": ["order", "refund"]},
        "urgent": {"type": "boolean"},
        "items": {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
    },
    "required": ["topic", "urgent"],
    "additionalProperties": False,
}
LINES = 'start: (/[a-z]{2}/ ";"){100} /[a-z]{2}/'
SUMS = """
start: product (("+" | "-") product)*
product: factor (("*" | "/") factor)*
factor: /[1-9][0-9]{0,2}/ | "(" start ")"
"""
DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"


def request(constraint: pb.Constraint, **fields: object) -> pb.GenerateReplyRequest:
    return pb.GenerateReplyRequest(prompt="hello", constraint=constraint, **fields)


def refusal(stub: GenerationStub, asked: pb.GenerateReplyRequest) -> tuple[str, str]:
    """The field that is refused, and why."""
    with pytest.raises(grpc.RpcError) as raised:
        stub.GenerateReply(asked)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = find_detail(raised.value, BadRequest).field_violations
    return violation.field, violation.description


@pytest.mark.parametrize("temperature", [0.0, 1.0, 2.0])
def test_a_regex_is_kept(generation: GenerationStub, temperature: float) -> None:
    sampling = pb.SamplingParams(temperature=temperature)
    reply = generation.GenerateReply(request(pb.Constraint(regex=DATE), sampling=sampling))
    assert re.fullmatch(DATE, reply.text)
    assert reply.completion.finish_reason == pb.FINISH_REASON_END_OF_TEXT


def test_choices_are_kept_also_by_streams(generation: GenerationStub) -> None:
    choices = pb.Choices(choices=["yes, of course", "no", "您好"])
    asked = pb.GenerateRequest(prompt="hello", constraint=pb.Constraint(choices=choices))
    events = list(generation.Generate(asked))
    assert "".join(event.chunk.text for event in events) in list(choices.choices)


@pytest.mark.parametrize("temperature", [0.0, 1.0, 2.0])
def test_a_json_schema_is_kept(generation: GenerationStub, temperature: float) -> None:
    sampling = pb.SamplingParams(temperature=temperature, seed=3)
    constraint = pb.Constraint(json_schema=json.dumps(ORDER))
    reply = generation.GenerateReply(request(constraint, sampling=sampling))
    jsonschema.validate(json.loads(reply.text), ORDER)


def test_a_grammar_is_kept_also_from_within_the_prompt(generation: GenerationStub) -> None:
    """What stands before in the prompt is no part of it."""
    constraint = pb.Constraint(grammar=SUMS, prompt_characters=4)
    for seed in range(5):
        asked = pb.GenerateRequest(
            prompt="sum: ((1+",
            constraint=constraint,
            sampling=pb.SamplingParams(seed=seed, temperature=1.5),
            stopping=pb.StoppingCriteria(max_tokens=24),
        )
        text = "".join(event.chunk.text for event in generation.Generate(asked))
        assert ast.parse(f"((1+{text}")  # a sum is an expression of Python's, too


def test_a_regex_is_kept_also_from_within_the_prompt(generation: GenerationStub) -> None:
    constraint = pb.Constraint(regex=DATE, prompt_characters=5)
    asked = pb.GenerateReplyRequest(prompt="when? 2026-", constraint=constraint)
    assert re.fullmatch(DATE, "2026-" + generation.GenerateReply(asked).text)


def test_the_cache_keeps_beginnings_apart(generation: GenerationStub) -> None:
    replies = {
        generation.GenerateReply(
            pb.GenerateReplyRequest(
                prompt="aaaa",
                constraint=pb.Constraint(regex="a{6}", prompt_characters=count),
            )
        ).text
        for count in (0, 1, 4, 1, 0)
    }
    assert replies == {"a" * 6, "a" * 5, "a" * 2}


def test_a_stop_sequence_ends_a_sum_only_where_it_is_one(generation: GenerationStub) -> None:
    stopping = pb.StoppingCriteria(max_tokens=24, stop_sequences=["+", "*", "-", "/", "("])
    constraint = pb.Constraint(grammar=SUMS, prompt_characters=2)
    found = set()
    for seed in range(20):
        asked = pb.GenerateReplyRequest(
            prompt="(1",
            constraint=constraint,
            sampling=pb.SamplingParams(seed=seed, temperature=2.0),
            stopping=stopping,
        )
        reply = generation.GenerateReply(asked)
        assert ast.parse(f"(1{reply.text}")
        found.add(reply.completion.finish_reason)
    assert pb.FINISH_REASON_STOP_SEQUENCE in found


def test_a_stop_sequence_within_a_json_value_is_text(generation: GenerationStub) -> None:
    stopping = pb.StoppingCriteria(stop_sequences=["e", ",", "}"])
    constraint = pb.Constraint(json_schema=json.dumps(ORDER))
    reply = generation.GenerateReply(request(constraint, stopping=stopping))
    jsonschema.validate(json.loads(reply.text), ORDER)


def test_a_stop_sequence_ends_a_reply_only_where_it_matches(generation: GenerationStub) -> None:
    stopping = pb.StoppingCriteria(max_tokens=40, stop_sequences=["1", "-"])
    asked = request(pb.Constraint(regex="[0-9]{3}(-[0-9]{3})*"), stopping=stopping)
    assert re.fullmatch("[0-9]{3}(-[0-9]{3})*", generation.GenerateReply(asked).text)


def test_several_replies_keep_it(generation: GenerationStub) -> None:
    sampling = pb.SamplingParams(seed=5, temperature=1.5)
    reply = generation.GenerateReply(
        request(pb.Constraint(regex="[a-z]{3,9}"), sampling=sampling, best_of=4, num_replies=4)
    )
    texts = [reply.text, *(other.text for other in reply.alternatives)]
    assert len(texts) == 4
    assert all(re.fullmatch("[a-z]{3,9}", text) for text in texts)


def test_building_is_told_once(generation: GenerationStub) -> None:
    asked = request(pb.Constraint(regex="once( upon)? a time"))
    first, second = generation.GenerateReply(asked), generation.GenerateReply(asked)
    assert first.completion.timings.constraint_seconds > 0
    assert second.completion.timings.constraint_seconds == 0


def test_the_cache_keeps_forms_apart(generation: GenerationStub) -> None:
    sampling = pb.SamplingParams(seed=77)
    for pattern in ("[a-m]{5}", "[n-z]{5}", "[a-m]{5}", "[n-z]{5}", "[a-m]{5}"):
        asked = request(pb.Constraint(regex=pattern), sampling=sampling)
        reply = generation.GenerateReply(asked)
        assert re.fullmatch(pattern, reply.text)
    assert reply.completion.cache == pb.CACHE_OUTCOME_HIT
    plain = generation.GenerateReply(pb.GenerateReplyRequest(prompt="hello", sampling=sampling))
    assert not re.fullmatch("[a-m]{5}", plain.text)


def test_it_is_resumed_after_every_token(generation: GenerationStub) -> None:
    asked = pb.GenerateRequest(
        model_version="1",
        prompt="hello",
        sampling=pb.SamplingParams(seed=9),
        constraint=pb.Constraint(regex="(ab|cd){4}[0-9]{3}"),
        cache_mode=pb.CACHE_MODE_BYPASS,
    )
    whole = [token for event in generation.Generate(asked) for token in event.chunk.token_ids]
    assert len(whole) > 3
    for cut in range(1, len(whole)):
        resumed = pb.GenerateRequest(resume_tokens=whole[:cut])
        resumed.MergeFrom(asked)
        rest = [t for event in generation.Generate(resumed) for t in event.chunk.token_ids]
        assert whole[:cut] + rest == whole


@pytest.mark.parametrize(
    ("constraint", "field", "reason"),
    [
        (pb.Constraint(), "constraint", "is empty"),
        (pb.Constraint(regex=""), "constraint.regex", "from 1 to 8192 bytes"),
        (pb.Constraint(regex="a" * 8193), "constraint.regex", "from 1 to 8192 bytes"),
        (pb.Constraint(regex="("), "constraint.regex", "opens at character 1"),
        (pb.Constraint(regex=r"(a)\1"), "constraint.regex", "a back-reference at character 4"),
        (pb.Constraint(form="verse"), "constraint.form", "'verse' is no form"),
        (pb.Constraint(choices=pb.Choices()), "constraint.choices.choices", "from 1 to 1024"),
        (
            pb.Constraint(choices=pb.Choices(choices=["a", ""])),
            "constraint.choices.choices[1]",
            "from 1 to 1024 characters",
        ),
        (
            pb.Constraint(choices=pb.Choices(choices=["a", "a"])),
            "constraint.choices.choices",
            "different",
        ),
        (pb.Constraint(json_schema=""), "constraint.json_schema", "from 1 to 65536 bytes"),
        (pb.Constraint(json_schema="{"), "constraint.json_schema", "is no JSON"),
        (pb.Constraint(json_schema="[]"), "constraint.json_schema", "object, true or false"),
        (pb.Constraint(json_schema='{"not": {}}'), "constraint.json_schema", '"not"'),
        (pb.Constraint(json_schema='{"format": "x"}'), "constraint.json_schema", "format: x"),
        (pb.Constraint(json_schema='{"x-guidance": {}}'), "constraint.json_schema", "x-guidance"),
        (
            pb.Constraint(json_schema='{"type": "string", "minLength": 3, "maxLength": 2}'),
            "constraint.json_schema",
            "maxLength",
        ),
        (pb.Constraint(grammar=""), "constraint.grammar", "from 1 to 65536 bytes"),
        (pb.Constraint(grammar="start: b"), "constraint.grammar", "line 1, column 8: unknown name"),
        (pb.Constraint(grammar="start: start"), "constraint.grammar", "is kept by no text"),
        (pb.Constraint(grammar="start: <[7]>"), "constraint.grammar", "special tokens"),
        (
            pb.Constraint(
                grammar='start: %json {"x-guid\\u0061nce": {"lenient": true}, "not": {}}'
            ),
            "constraint.grammar",
            "has x-guidance",
        ),
        (
            pb.Constraint(grammar='start: "a" %json {"type": "null", "type": "boolean"}'),
            "constraint.grammar",
            "has 'type' twice in one object",
        ),
        (pb.Constraint(grammar='start: "a" <0x41>'), "constraint.grammar", "special tokens"),
        (pb.Constraint(grammar='start: "</b>" <end> "/"'), "constraint.grammar", "special tokens"),
        (
            pb.Constraint(grammar='start: a "b"\na[max_tokens=3]: /[a-z]+/'),
            "constraint.grammar",
            "has max_tokens",
        ),
        (
            pb.Constraint(json_schema='{"enum": ["\\ud800"]}'),
            "constraint.json_schema",
            "half of a character",
        ),
        (pb.Constraint(json_schema='{"minimum": 1e999}'), "constraint.json_schema", "not finite"),
        (
            pb.Constraint(json_schema='{"minimum": ' + "9" * 5000 + "}"),
            "constraint.json_schema",
            "more than 64 characters",
        ),
        (
            pb.Constraint(json_schema='{"type": "null", "type": "string"}'),
            "constraint.json_schema",
            "has 'type' twice",
        ),
        (
            pb.Constraint(grammar='start: "a"', prompt_characters=2),
            "constraint.grammar",
            "this end of the prompt",
        ),
        (pb.Constraint(regex="a+", prompt_characters=2), "prompt", "allows no 'l'"),
        (
            pb.Constraint(regex="a+", prompt_characters=6),
            "constraint.prompt_characters",
            "at most 5, not 6",
        ),
    ],
)
def test_what_is_wrong_is_refused_by_name(
    generation: GenerationStub, constraint: pb.Constraint, field: str, reason: str
) -> None:
    refused, description = refusal(generation, request(constraint))
    assert refused == field
    assert reason in description


def test_too_few_tokens_are_refused_before_anything_starts(generation: GenerationStub) -> None:
    stopping = pb.StoppingCriteria(max_tokens=3)
    field, reason = refusal(generation, request(pb.Constraint(regex=DATE), stopping=stopping))
    assert field == "stopping.max_tokens"
    assert re.match(r"must be at least \d+, not 3", reason)


def test_what_cannot_go_with_it_is_refused(generation: GenerationStub) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        generation.GenerateReply(
            request(pb.Constraint(regex="a"), variables={"name": "x"}, min_confidence=0.5)
        )
    fields = {each.field for each in find_detail(raised.value, BadRequest).field_violations}
    assert fields == {"min_confidence", "variables"}


HOSTILE = [
    "(([a-z]{100}){100}){100}",
    "(a|b|ab)*c{1000}(d{1000}){1000}",
    "(((((.{1,99}){1,99}){1,99}){1,99}){1,99}){1,99}",
    r"(\w{1,999}\s){1,999}",
    "[ab]*a[ab]{40}",
    "(?:" * 2000 + "a" + ")" * 2000,
]


@pytest.mark.parametrize("pattern", HOSTILE)
def test_hostile_patterns_are_refused_and_end_nothing(
    generation: GenerationStub, server: ServerProcess, pattern: str
) -> None:
    field, reason = refusal(generation, request(pb.Constraint(regex=pattern)))
    assert field == "constraint.regex"
    assert re.search("seconds|memory|states|cannot be|nests more", reason)
    assert generation.GenerateReply(request(pb.Constraint(regex="[0-9]"))).text.isdigit()


HOSTILE_GRAMMARS = [
    'start: "a" start "b" | start start | ',
    "start: /(a|b){5000}(c|d){5000}/",
    "start: " + "(" * 3000 + '"a"' + ")" * 3000,
    "start: " + " ".join(f"/[a-z]{{1,{n}}}/" for n in range(1000, 1200)),
    '%llguidance {"allow_invalid_utf8": true}\nstart: "a"',
    'start: e{60000}\ne: "a" | "b"',
]


@pytest.mark.parametrize("grammar", HOSTILE_GRAMMARS)
def test_hostile_grammars_cost_nobody_else_anything(
    generation: GenerationStub, grammar: str
) -> None:
    """They are refused, or their replies end."""
    with suppress(grpc.RpcError):
        generation.GenerateReply(request(pb.Constraint(grammar=grammar)))
    assert generation.GenerateReply(request(pb.Constraint(regex="[0-9]"))).text.isdigit()


@pytest.mark.parametrize(
    "constraint",
    [pb.Constraint(regex="([a-z]{2} ){100}[a-z]{2}"), pb.Constraint(grammar=LINES)],
    ids=["regex", "grammar"],
)
def test_a_stream_goes_on_when_its_engine_has_died(
    tiny_store: Path, constraint: pb.Constraint
) -> None:
    """The engine that takes its place is taught the form before it goes on."""
    asked = pb.GenerateRequest(
        prompt="hello",
        sampling=pb.SamplingParams(seed=4),
        stopping=pb.StoppingCriteria(max_tokens=400),
        constraint=constraint,
        cache_mode=pb.CACHE_MODE_BYPASS,
    )
    with (
        ServerProcess(tiny_store, "--quantum-steps", "2") as server,
        grpc.insecure_channel(server.target) as channel,
    ):
        stub = GenerationStub(channel)
        whole = "".join(event.chunk.text for event in stub.Generate(asked))
        events = stub.Generate(asked)
        texts = [next(events).chunk.text for _ in range(3)]
        (engine,) = engines_of(server)
        engine.kill()
        texts += [event.chunk.text for event in events]
    assert "".join(texts) == whole
    assert re.fullmatch(r"([a-z]{2}[ ;]){100}[a-z]{2}", whole)


def test_a_version_may_name_forms(tiny_store: Path, tmp_path: Path) -> None:
    forms = {"date": {"regex": DATE}, "mood": {"choices": ["good", "bad"]}}
    store = with_forms(tiny_store, tmp_path, json.dumps(forms))
    with ServerProcess(store) as server, grpc.insecure_channel(server.target) as channel:
        stub, models = GenerationStub(channel), ModelStub(channel)
        assert list(models.GetModel(model_pb.GetModelRequest()).model.forms) == ["date", "mood"]
        date = stub.GenerateReply(request(pb.Constraint(form="date")))
        assert re.fullmatch(DATE, date.text)
        assert date.completion.timings.constraint_seconds == 0  # it was built before anyone asked
        mood = stub.GenerateReply(request(pb.Constraint(form="mood"))).text
        assert mood in forms["mood"]["choices"]
        field, reason = refusal(stub, request(pb.Constraint(form="verse")))
        assert (field, reason) == (
            "constraint.form",
            "'verse' is no form of this version; it has date, mood",
        )


@pytest.mark.parametrize(
    ("forms", "reason"),
    [
        (
            '{"rest": {"regex": "a", "with_prompt": true}}',
            "rest: with_prompt is for models that go on with a text",
        ),
        (r'{"date": {"regex": "(a)\\1"}}', "constraints.json: date: has a back-reference"),
        (
            '{"date": {}}',
            "date: Value error, must have one of regex, choices",
        ),
        ('{"Date": {"regex": "a"}}', "Date"),
    ],
)
def test_a_version_with_a_bad_form_is_refused(
    tiny_store: Path, tmp_path: Path, forms: str, reason: str
) -> None:
    version = with_forms(tiny_store, tmp_path, forms) / "tiny" / "1"
    found = run_program(
        command("verify", str(version)), capture_output=True, text=True, start=preloaded.start
    )
    assert found.returncode
    assert reason in found.stderr


VERSE = {
    "$classes": {"vowel": "aeiou", "consonant": "bcdfg"},
    "verse": {"regex": "(?:{{consonant}}{{vowel}},){4}", "with_prompt": True},
}


def test_a_form_may_hold_for_prompt_and_reply_together(tiny_store: Path, tmp_path: Path) -> None:
    store = with_forms(tiny_store, tmp_path, json.dumps(VERSE), goes_on_with_text=True)
    form, verse = pb.Constraint(form="verse"), re.compile("([bcdfg][aeiou],){4}")
    with ServerProcess(store) as server, grpc.insecure_channel(server.target) as channel:
        stub = GenerationStub(channel)
        for prompt in ("", "b", "ba", "ba,de,fi,", "ba,de,fi,go,"):
            asked = pb.GenerateReplyRequest(prompt=prompt, constraint=form)
            asked.sampling.seed = 3
            reply = stub.GenerateReply(asked)
            assert verse.fullmatch(prompt + reply.text)
            again = pb.GenerateRequest(prompt=prompt, constraint=form, sampling=asked.sampling)
            again.model_version, again.cache_mode = "1", pb.CACHE_MODE_BYPASS
            again.resume_tokens.extend(list(tokens_of(stub, again))[:-1][:3])
            rest = "".join(event.chunk.text for event in stub.Generate(again))
            assert reply.text.endswith(rest)
        asked = pb.GenerateReplyRequest(prompt="ba,be?", constraint=form)
        field, reason = refusal(stub, asked)
        assert field == "prompt"
        assert reason.endswith("after 'ba,be' it allows no '?'")


def tokens_of(stub: GenerationStub, asked: pb.GenerateRequest) -> Iterator[int]:
    for event in stub.Generate(asked):
        yield from event.chunk.token_ids


def with_forms(store: Path, folder: Path, forms: str, *, goes_on_with_text: bool = False) -> Path:
    """A store whose version names these forms; without roles it goes on with a text."""
    shutil.copytree(store, folder / "store")
    version = folder / "store" / "tiny" / "1"
    (version / FORMS_NAME).write_text(forms, encoding="utf-8")
    manifest = read_manifest(version)
    files = {**manifest.files, FORMS_NAME: describe_file(version / FORMS_NAME)}
    template = manifest.template
    if goes_on_with_text:
        template = TemplateManifest(role_tokens={}, reply_role="", end_token=template.end_token)
        del files[FINGERPRINT_NAME]
    write_manifest(version, manifest.model_copy(update={"files": files, "template": template}))
    return folder / "store"


def test_a_large_one_is_served(generation: GenerationStub) -> None:
    """Of 16,384 states."""
    reply = generation.GenerateReply(request(pb.Constraint(regex="[ab]*a[ab]{13}")))
    assert re.fullmatch("[ab]*a[ab]{13}", reply.text)
