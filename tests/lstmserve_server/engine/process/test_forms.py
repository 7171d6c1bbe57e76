"""Replies that keep a form: as the reference decoder has them, and always kept."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.constraints import automaton as automaton_module
from lstmserve_server.engine.constraints.form import Form
from lstmserve_server.engine.constraints.messages import RefusedFormError
from lstmserve_server.engine.output import FinishReason
from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from lstmserve_server.errors import ResumeMismatchError
from support.comparison import assert_as_computed
from support.engines import (
    MAX_ROWS,
    Asked,
    Bench,
    LoadedModel,
    Reply,
    prompt_ids,
    run_all,
    run_parking,
    run_together,
)
from support.forms import choices_form, reference_form, regex_form
from support.patterns import matches, patterns
from support.random_requests import random_request
from support.reference import ReferenceDecoder

PATTERNS = (
    "(yes|no|maybe)",
    "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    ".{1,129}",
    "[ab]*a[ab]{3}",
    "(Hello|您好)[^.。]*[.。]",
    "[^e]{0,12}",
    "(?:👍|❤️){3}",
    "",
)


def with_form(request: GenerationRequest, form: Form) -> Asked:
    """The request with a form, and room for it."""
    most = max(request.max_tokens, form.taught.shortest, 1)
    return replace(request, max_tokens=most, form_digest=form.digest), form


def text_of(model: LoadedModel, reply: Reply) -> str:
    return model.bundle.tokenizer.decode(reply.token_ids)


@pytest.fixture(scope="module")
def pool(tiny: LoadedModel) -> list[Asked]:
    """Requests of all kinds; every third says anything, and each pattern is asked for."""
    rng = random.Random(5)
    asked = list[Asked]()
    for number in range(MAX_ROWS):
        request = replace(random_request(tiny.bundle, rng), stop_sequences=())
        form = regex_form(tiny.bundle, PATTERNS[number % len(PATTERNS)])
        asked.append((request, None) if number % 3 == 2 else with_form(request, form))
    return asked


def test_they_are_what_the_reference_decoder_makes(
    tiny: LoadedModel, reference: ReferenceDecoder, pool: list[Asked]
) -> None:
    for reply, (request, form) in zip(run_all(tiny, pool), pool, strict=True):
        own = None if form is None else reference_form(tiny.bundle, form)
        assert_as_computed(reply, (request, reference.reply(request, own)))


@pytest.mark.parametrize("rows", [1, 2, 7, 64])
@pytest.mark.parametrize("steps", [1, 5, 16])
def test_neither_company_nor_quantum_changes_them(
    tiny: LoadedModel, pool: list[Asked], rows: int, steps: int
) -> None:
    found = run_all(tiny, pool, EngineConfig(max_running=rows, quantum_steps=steps))
    together = run_all(tiny, pool)
    assert [reply.essence for reply in found] == [reply.essence for reply in together]


def test_sets_that_are_kept_as_bits_allow_the_same(
    tiny: LoadedModel, pool: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all automata, and of some of those that run side by side."""
    expected = [reply.essence for reply in run_all(tiny, pool)]
    forms = {form.digest: form for _, form in pool if form is not None}
    for most in (0, 6):
        monkeypatch.setattr(automaton_module, "MAX_UNPACKED_SETS", most)
        for digest in forms:
            tiny.runner.taught.forget(digest)
        assert any(form.taught.has_many_sets for form in forms.values())
        assert [reply.essence for reply in run_all(tiny, pool)] == expected


def test_they_change_no_other_reply(tiny: LoadedModel, pool: list[Asked]) -> None:
    plain = [number for number, (_, form) in enumerate(pool) if form is None]
    alone = run_together(tiny, [pool[number][0] for number in plain])
    together = run_all(tiny, pool)
    assert [together[number].essence for number in plain] == [reply.essence for reply in alone]


def test_they_are_resumed_after_any_token(tiny: LoadedModel, pool: list[Asked]) -> None:
    whole = run_all(tiny, pool)
    for (request, form), reply in list(zip(pool, whole, strict=True))[:24]:
        ids = reply.token_ids
        rest = [(replace(request, resume_ids=tuple(ids[:cut])), form) for cut in range(1, len(ids))]
        for cut, resumed in enumerate(run_all(tiny, rest), start=1):
            assert ids[:cut] + resumed.token_ids == ids
            assert resumed.finish is not None
            assert reply.finish is not None
            assert resumed.finish.reason is reply.finish.reason


def test_they_are_parked_and_go_on(tiny: LoadedModel, pool: list[Asked]) -> None:
    whole, parked = run_all(tiny, pool[:8]), run_parking(tiny, pool[:8])
    assert [reply.essence for reply in parked] == [reply.essence for reply in whole]


sampling = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.0, 0.7, 2.0]),
    top_k=st.sampled_from([0, 1, 5]),
    top_p=st.sampled_from([1.0, 0.3]),
    min_p=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 2**64 - 1),
    num_logprobs=st.none() | st.integers(0, 3),
    repetition_penalty=st.sampled_from([1.0, 1.5]),
    frequency_penalty=st.sampled_from([0.0, 2.0]),
    logit_bias=st.just(()) | st.integers(0, 447).map(lambda token: ((token, 100.0),)),
)


@given(asked=st.lists(st.tuples(patterns, sampling, st.integers(0, 9)), min_size=1, max_size=4))
@settings(max_examples=60)
def test_whatever_is_asked_the_form_is_kept(
    tiny: LoadedModel, reference: ReferenceDecoder, asked: list[tuple[str, SamplingParams, int]]
) -> None:
    """Also where max_tokens leaves just the shortest way, and min_tokens wants more than it has."""
    requests, kept = list[Asked](), list[str]()
    for number, (pattern, params, more) in enumerate(asked):
        try:
            form = regex_form(tiny.bundle, pattern)
        except RefusedFormError:
            continue
        most = max(1, form.taught.shortest + more)
        request = GenerationRequest(prompt_ids(tiny.bundle, "hello"), params, most, number % 3)
        requests.append((replace(request, form_digest=form.digest), form))
        kept.append(pattern)
    replies = run_all(tiny, requests)
    for reply, pattern, (request, form) in zip(replies, kept, requests, strict=True):
        assert matches(pattern, text_of(tiny, reply))
        assert form is not None
        own = reference_form(tiny.bundle, form)
        assert_as_computed(reply, (request, reference.reply(request, own)))


def test_one_that_wants_more_tokens_than_the_form_has_ends_with_it(tiny: LoadedModel) -> None:
    form = regex_form(tiny.bundle, "no")
    request = GenerationRequest(prompt_ids(tiny.bundle, "hi"), SamplingParams(), 40, min_tokens=20)
    (reply,) = run_all(tiny, [with_form(request, form)])
    assert reply.text == "no"
    assert reply.finish is not None
    assert reply.finish.reason is FinishReason.END_OF_TEXT


def test_choices_are_kept(tiny: LoadedModel) -> None:
    choices = ["track my order", "track it", "您好", "👍 great"]
    form = choices_form(tiny.bundle, choices)
    asked = [
        with_form(
            GenerationRequest(
                prompt_ids(tiny.bundle, "hello"), SamplingParams(temperature=2.0, seed=seed), 24
            ),
            form,
        )
        for seed in range(40)
    ]
    found = {reply.text for reply in run_all(tiny, asked)}
    assert found <= {*choices}
    assert len(found) > 1


def test_a_stop_sequence_waits_until_the_form_is_complete(tiny: LoadedModel) -> None:
    """A stop sequence that stands in it twice ends it where there is a whole text before it."""
    form = regex_form(tiny.bundle, "xaby|xabyxabz*")
    request = GenerationRequest(
        prompt_ids(tiny.bundle, "hi"),
        SamplingParams(logit_bias=bias(tiny, "xabyz")),
        40,
        min_tokens=6,
        stop_sequences=("xab", "by"),
    )
    (reply,) = run_all(tiny, [with_form(request, form)])
    assert reply.text == "xaby"
    assert reply.finish is not None
    assert reply.finish.stop_sequence == "xab"


def bias(model: LoadedModel, letters: str) -> tuple[tuple[int, float], ...]:
    """What makes letters likely."""
    tokens = [model.bundle.tokenizer.encode(letter)[0] for letter in letters]
    return tuple((token, 100.0) for token in tokens)


def test_tokens_that_leave_the_form_are_not_resumed_after(tiny: LoadedModel) -> None:
    form = regex_form(tiny.bundle, "[0-9]+")
    request = GenerationRequest(prompt_ids(tiny.bundle, "hi"), SamplingParams(), 8)
    wrong = tuple(tiny.bundle.tokenizer.encode("a"))
    with pytest.raises(ResumeMismatchError, match="keeps the form"):
        run_all(tiny, [with_form(replace(request, resume_ids=wrong), form)])


def test_forms_that_are_forgotten_are_taught_again(tiny: LoadedModel) -> None:
    """What lies behind one that is forgotten moves, while a reply keeps it."""
    taught = tiny.runner.taught
    request = GenerationRequest(prompt_ids(tiny.bundle, "hi"), SamplingParams(seed=3), 30)
    kept = regex_form(tiny.bundle, "[a-z]{25}[a-z ]*")
    others = [regex_form(tiny.bundle, f"[^{letter}]{{1,40}}") for letter in "abcdef"]
    (alone,) = run_all(tiny, [with_form(request, kept)])
    for form in (*others, kept):
        taught.forget(form.digest)
    for form in others:
        taught.teach(form.digest, form.taught)
    bench = Bench(tiny, EngineConfig(quantum_steps=2))
    bench.submit(0, *with_form(request, kept)[:1], form=kept)
    for form in others:
        bench.step()
        taught.forget(form.digest)
        bench.submit(1 + others.index(form), request)
        bench.step()
    assert bench.run()[0].essence == alone.essence
    assert re.fullmatch("[a-z]{25}[a-z ]*", alone.text)
