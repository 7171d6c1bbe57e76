"""Replies that keep a grammar: as the reference decoder has them, and always kept."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from dataclasses import replace

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.constraints import growing, parsing, walking
from lstmserve_server.engine.constraints.form import ContextFreeForm, Form
from lstmserve_server.engine.constraints.messages import RefusedFormError
from lstmserve_server.engine.output import FinishReason
from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from lstmserve_server.errors import FormTooComplexError, ResumeMismatchError
from support.comparison import assert_as_computed
from support.engines import (
    Asked,
    Bench,
    LoadedModel,
    Reply,
    prompt_ids,
    run_all,
    run_parking,
    run_together,
)
from support.forms import grammar_form, json_form, regex_form
from support.random_requests import random_request
from support.reference import ReferenceDecoder
from support.reference_form import BYTES, ReferenceGrammar

SUMS = """
start: sum
sum: product (("+" | "-") product)*
product: factor (("*" | "/") factor)*
factor: /[0-9]{1,3}/ | "(" sum ")"
"""
BRACKETS = 'start: "a" | "[" start "]" | "(" start ")"'
ORDER = {
    "type": "object",
    "properties": {
        "topic": {"enum": ["order", "refund", "您好"]},
        "urgent": {"type": "boolean"},
        "items": {"type": "array", "items": {"type": "integer"}, "minItems": 2},
        "note": {"type": "string", "minLength": 3, "maxLength": 12},
    },
    "required": ["topic", "urgent", "items"],
    "additionalProperties": False,
}
TREE = {
    "type": "object",
    "properties": {"v": {"type": "integer"}, "kids": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["v", "kids"],
    "additionalProperties": False,
}
STATES = 120  # of a lexer: enough for each reply, not for eight of them


def with_form(request: GenerationRequest, form: Form) -> Asked:
    """The request with a form, and room for it."""
    most = max(request.max_tokens, form.taught.shortest, 1)
    return replace(request, max_tokens=most, form_digest=form.digest), form


@pytest.fixture(scope="module")
def forms(tiny: LoadedModel) -> list[Form]:
    return [
        grammar_form(tiny.bundle, SUMS),
        json_form(tiny.bundle, ORDER),
        grammar_form(tiny.bundle, BRACKETS, "[(["),
        json_form(tiny.bundle, TREE),
        regex_form(tiny.bundle, "[a-z]{3,9}"),
    ]


@pytest.fixture(scope="module")
def pool(tiny: LoadedModel, forms: list[Form]) -> list[Asked]:
    """Requests of all kinds; every sixth says anything, and one keeps an automaton."""
    rng = random.Random(9)
    asked = list[Asked]()
    for number in range(24):
        request = random_request(tiny.bundle, rng)
        plain = replace(request, stop_sequences=())
        kind = number % 6
        asked.append((plain, None) if kind == 5 else with_form(plain, forms[kind]))
    return asked


def test_they_are_what_the_reference_decoder_makes(
    tiny: LoadedModel, reference: ReferenceDecoder, pool: list[Asked]
) -> None:
    tokens, end_id = tiny.bundle.tokenizer.all_bytes(), tiny.bundle.template.end_id
    for reply, (request, form) in zip(run_all(tiny, pool), pool, strict=True):
        if isinstance(form, ContextFreeForm):
            own = ReferenceGrammar(form.taught, tokens, end_id)
            assert_as_computed(reply, (request, reference.reply(request, own)))


@pytest.mark.parametrize(("rows", "steps"), [(1, 16), (2, 1), (7, 5), (64, 16)])
def test_neither_company_nor_quantum_changes_them(
    tiny: LoadedModel, pool: list[Asked], rows: int, steps: int
) -> None:
    found = run_all(tiny, pool, EngineConfig(max_running=rows, quantum_steps=steps))
    together = run_all(tiny, pool)
    assert [reply.essence for reply in found] == [reply.essence for reply in together]


def test_they_change_no_other_reply(tiny: LoadedModel, pool: list[Asked]) -> None:
    plain = [number for number, (_, form) in enumerate(pool) if form is None]
    alone = run_together(tiny, [pool[number][0] for number in plain])
    together = run_all(tiny, pool)
    assert [together[number].essence for number in plain] == [reply.essence for reply in alone]


def test_they_are_resumed_after_any_token(tiny: LoadedModel, pool: list[Asked]) -> None:
    whole = run_all(tiny, pool)
    for (request, form), reply in list(zip(pool, whole, strict=True))[:12]:
        ids = reply.token_ids
        rest = [(replace(request, resume_ids=tuple(ids[:cut])), form) for cut in range(1, len(ids))]
        for cut, resumed in enumerate(run_all(tiny, rest), start=1):
            assert ids[:cut] + resumed.token_ids == ids


def test_they_are_parked_and_go_on(tiny: LoadedModel, pool: list[Asked]) -> None:
    whole, parked = run_all(tiny, pool[:8]), run_parking(tiny, pool[:8])
    assert [reply.essence for reply in parked] == [reply.essence for reply in whole]


STOPS = ("+", "*(", ")", "12", "1", "a", "]]", "])", ":", " ", "}", "}\n")


def cut(form: Form, tokens: Sequence[bytes], stops: Sequence[str]) -> tuple[bytes, str, int]:
    """A text before the first stop sequence where it may end, that one, and the tokens up to it.

    Every beginning is read anew.
    """
    for number in range(1, len(tokens) + 1):
        text = b"".join(tokens[:number])
        found = [
            (place, stop)
            for stop in stops
            for place in range(len(text))
            if text.startswith(stop.encode(), place) and is_kept_by(form, text[:place])
        ]
        if found:
            place, stop = min(found)
            return text[:place], stop, number
    return b"".join(tokens), "", len(tokens)


def is_kept_by(form: Form, text: bytes) -> bool:
    assert isinstance(form, ContextFreeForm)
    matcher = BYTES.begin(form.taught.text, form.taught.prefix)
    return matcher.validate_tokens([*text, BYTES.end_id]) > len(text)


@given(
    number=st.sampled_from([0, 1, 2, 3]),
    stops=st.lists(st.sampled_from(STOPS), min_size=1, max_size=4, unique=True),
    seed=st.integers(0, 2**64 - 1),
)
@settings(max_examples=60)
def test_stop_sequences_end_them_where_they_keep_the_form(
    tiny: LoadedModel, forms: list[Form], number: int, stops: list[str], seed: int
) -> None:
    form, sampling = forms[number], SamplingParams(1.5, seed=seed)
    request = GenerationRequest(prompt_ids(tiny.bundle, "hello"), sampling, 24)
    plain = with_form(request, form)
    asked = replace(plain[0], stop_sequences=tuple(stops)), form
    whole, stopped = run_all(tiny, [plain, asked])
    tokens = [tiny.bundle.tokenizer.token_bytes(token) for token in whole.token_ids]
    text, stop, num_tokens = cut(form, tokens, stops)
    assert stopped.text == text.decode()
    assert stopped.token_ids == whole.token_ids[:num_tokens]
    assert stopped.finish is not None
    assert stopped.finish.stop_sequence == stop


def test_those_that_a_stop_sequence_ends_are_resumed_and_parked(
    tiny: LoadedModel, forms: list[Form]
) -> None:
    """A place where one may end can stand in tokens that were resumed."""
    request = GenerationRequest(prompt_ids(tiny.bundle, "hi"), SamplingParams(1.5), 30)
    seeds = (replace(request, sampling=SamplingParams(1.5, seed=seed)) for seed in range(40))
    stops = ("+", "*(", "-(", "/1", "2")
    asked = [with_form(replace(each, stop_sequences=stops), forms[0]) for each in seeds]
    whole = run_all(tiny, asked)
    stopped = [
        (reply, each)
        for reply, each in zip(whole, asked, strict=True)
        if reply.finish is not None and reply.finish.stop_sequence
    ]
    assert {reply.finish.stop_sequence for reply, _ in stopped if reply.finish} >= {"*(", "+"}
    for reply, (request, form) in stopped:
        ids = reply.token_ids
        rest = [(replace(request, resume_ids=tuple(ids[:cut])), form) for cut in range(1, len(ids))]
        for number, resumed in enumerate(run_all(tiny, rest), start=1):
            assert ids[:number] + resumed.token_ids == ids
            assert resumed.finish is not None
            assert reply.text.endswith(resumed.text)
    parked = run_parking(tiny, asked[:8])
    assert [reply.essence for reply in parked] == [reply.essence for reply in whole[:8]]


def test_one_that_a_stop_sequence_has_ended_is_not_resumed(
    tiny: LoadedModel, forms: list[Form]
) -> None:
    request = GenerationRequest(
        prompt_ids(tiny.bundle, "hi"),
        SamplingParams(),
        24,
        stop_sequences=("+1",),
        resume_ids=tuple(tiny.bundle.tokenizer.encode("1+1")),
    )
    bench = Bench(tiny)
    bench.submit(0, *with_form(request, forms[0])[:1], form=forms[0])
    (lost,) = bench.run().values()
    assert isinstance(lost.error, ResumeMismatchError)


values = st.deferred(lambda: st.one_of(scalars, arrays, objects))
scalars = st.sampled_from(
    [
        {"type": "integer"},
        {"type": "number", "minimum": 0, "maximum": 9.5},
        {"type": "string", "maxLength": 5},
        {"type": "string", "minLength": 9},
        {"type": "string", "pattern": "^[a-c]{2,4}$"},
        {"type": "boolean"},
        {"enum": ["x", 7, None]},
        {"anyOf": [{"type": "null"}, {"const": "on"}]},
    ]
)
arrays = st.builds(
    lambda items, least: {"type": "array", "items": items, "minItems": least},
    values,
    st.integers(0, 3),
)
objects = st.builds(
    lambda properties, open_: {
        "type": "object",
        "properties": properties,
        "required": sorted(properties)[:2],
        "additionalProperties": open_,
    },
    st.dictionaries(st.sampled_from("abc"), values, max_size=3),
    st.booleans(),
)
sampling = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.0, 0.7, 2.0]),
    top_k=st.sampled_from([0, 1, 5]),
    top_p=st.sampled_from([1.0, 0.3]),
    seed=st.integers(0, 2**64 - 1),
    repetition_penalty=st.sampled_from([1.0, 1.5]),
    logit_bias=st.just(()) | st.integers(0, 447).map(lambda token: ((token, 100.0),)),
)


@given(schema=values, params=sampling, more=st.integers(0, 30), least=st.integers(0, 9))
@settings(max_examples=60)
def test_whatever_is_asked_the_schema_is_kept(
    tiny: LoadedModel, schema: dict[str, object], params: SamplingParams, more: int, least: int
) -> None:
    """Also where max_tokens leaves just what is known to fit."""
    try:
        form = json_form(tiny.bundle, schema)
    except RefusedFormError:
        return
    most = max(1, form.taught.shortest + more)
    request = GenerationRequest(prompt_ids(tiny.bundle, "hello"), params, most, min(least, most))
    (reply,) = run_all(tiny, [with_form(request, form)])
    jsonschema.validate(json.loads(reply.text), schema)


def test_one_that_wants_more_tokens_than_the_form_has_ends_with_it(tiny: LoadedModel) -> None:
    form = grammar_form(tiny.bundle, 'start: "no"')
    request = GenerationRequest(prompt_ids(tiny.bundle, "hi"), SamplingParams(), 40, min_tokens=20)
    (reply,) = run_all(tiny, [with_form(request, form)])
    assert reply.text == "no"
    assert reply.finish is not None
    assert reply.finish.reason is FinishReason.END_OF_TEXT


def test_tokens_that_leave_the_form_are_not_resumed_after(tiny: LoadedModel) -> None:
    form = json_form(tiny.bundle, ORDER)
    request, _ = with_form(
        GenerationRequest(prompt_ids(tiny.bundle, "hi"), SamplingParams(), 40), form
    )
    wrong = replace(request, resume_ids=tuple(tiny.bundle.tokenizer.encode("a")))
    bench = Bench(tiny)
    bench.submit(0, wrong, form=form)
    bench.submit(1, request, form=form)
    lost, other = bench.run().values()
    assert isinstance(lost.error, ResumeMismatchError)
    assert "keeps the form" in str(lost.error)
    jsonschema.validate(json.loads(other.text), ORDER)


def test_what_takes_too_much_work_ends_alone_and_says_so(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the library gives up, the reply ends with an error, and others go on."""
    form = grammar_form(tiny.bundle, 'start: /[ab]*a[ab]{9}/ "x"')
    tight = parsing.LLParserLimits(max_lexer_states=40)
    monkeypatch.setattr(parsing, "LIMITS", tight)
    asked, _ = with_form(
        GenerationRequest(prompt_ids(tiny.bundle, "hi"), SamplingParams(seed=1), 400), form
    )
    bench = Bench(tiny)
    bench.submit(0, asked, form=form)
    bench.submit(1, replace(asked, form_digest=b""))
    lost, other = bench.run().values()
    assert isinstance(lost.error, FormTooComplexError)
    assert "too many states" in str(lost.error)
    assert other.finish is not None


def reply_after(bench: Bench, number: int, asked: Asked) -> Reply:
    bench.submit(number, asked[0], form=asked[1])
    return bench.run()[number]


def test_what_earlier_replies_used_up_is_no_fault_of_later_ones(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replies of a grammar share the states of its lexer, which are bounded."""
    monkeypatch.setattr(parsing, "LIMITS", parsing.LLParserLimits(max_lexer_states=STATES))
    starts = [chr(ord("a") + number) for number in range(8)]
    text = "start: " + " | ".join(f'"{start}" /[{start}-z]{{40}}/' for start in starts)
    form = grammar_form(tiny.bundle, text)
    asked = [
        with_form(
            GenerationRequest(
                prompt_ids(tiny.bundle, "hi"),
                SamplingParams(1.0, seed=1, logit_bias=((tiny.bundle.tokenizer.encode(s)[0], 20),)),
                60,
            ),
            form,
        )
        for s in starts
    ]
    alone = [reply_after(Bench(tiny), 0, each) for each in asked]
    bench = Bench(tiny)
    in_turn = [reply_after(bench, number, each) for number, each in enumerate(asked)]
    assert all(reply.error is None for reply in alone)
    assert [reply.essence for reply in in_turn] == [reply.essence for reply in alone]


def test_a_token_asks_about_few_states_however_long_the_form_is(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All other rows wait for what one row asks."""
    form = json_form(tiny.bundle, {"type": "array", "items": {"type": "integer"}, "minItems": 300})
    asked = GenerationRequest(prompt_ids(tiny.bundle, "hi"), SamplingParams(1.5, seed=2), 700)
    num_asked = 0

    def counted(matcher: parsing.LLMatcher) -> bytes:
        nonlocal num_asked
        num_asked += 1
        return parsing.mask_of(matcher)

    monkeypatch.setattr(walking, "mask_of", counted)
    (reply,) = run_all(tiny, [with_form(asked, form)])
    assert len(json.loads(reply.text)) >= 300
    assert num_asked < len(reply.token_ids) * 10


def test_a_reply_that_others_wait_too_long_for_ends_with_an_error(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = grammar_form(tiny.bundle, SUMS)
    asked, _ = with_form(
        GenerationRequest(prompt_ids(tiny.bundle, "hi"), SamplingParams(seed=1), 40), form
    )
    monkeypatch.setattr(growing, "thread_time", itertools.count().__next__)
    bench = Bench(tiny)
    bench.submit(0, asked, form=form)
    bench.submit(1, replace(asked, form_digest=b""))
    lost, other = bench.run().values()
    assert isinstance(lost.error, FormTooComplexError)
    assert "other replies can wait" in str(lost.error)
    assert "cut the reply shorter" in str(lost.error)
    assert other.finish is not None
