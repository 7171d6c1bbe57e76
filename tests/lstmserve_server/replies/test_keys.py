"""A key changes with everything that can change a reply, and with nothing else."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmserve_server.cache.entry_key import Owner
from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from lstmserve_server.replies.keys import digest_question, reply_key, variant_seed
from support.engines import LoadedModel, run_together

OWNER = Owner("tiny", "1", "d" * 64)
SAMPLED = SamplingParams(temperature=0.75, top_k=7, top_p=0.875, min_p=0.0625, seed=5)
REQUEST = GenerationRequest((1, 2, 3), SAMPLED, 20, 1, ("stop",))

# another value for every field of a request; a field that is not here fails the test below
OTHER_REQUEST = {
    "prompt_ids": ((1, 2), (1, 2, 3, 0), (3, 2, 1)),
    "max_tokens": (19, 21),
    "min_tokens": (0, 2),
    "stop_sequences": ((), ("stop", "end"), ("sto",)),
    "form_digest": (b"a" * 32, b"b" * 32),
}
OTHER_SAMPLING = {
    "temperature": (0.5, 0.0),
    "top_k": (0, 8),
    "top_p": (1.0, 0.5),
    "min_p": (0.0, 0.5),
    "seed": (0, 6, (1 << 64) - 1),
    "num_logprobs": (0, 1),
    "repetition_penalty": (1.5,),
    "frequency_penalty": (0.5,),
    "presence_penalty": (0.5,),
    "logit_bias": (((1, 1.0),), ((2, 1.0),), ((1, 2.0),), ((1, 1.0), (2, 1.0))),
}
# the same reply, further on
NOT_IN_KEYS = {"resume_ids"}
ONLY_WITH_FORM = {"form_start"}
# what a greedy reply does not depend on
NOT_FOR_GREEDY = {"top_k", "top_p", "min_p", "seed"}


def key_of(request: GenerationRequest, owner: Owner = OWNER) -> bytes:
    return reply_key(owner, digest_question(owner, request), request.sampling).digest


def with_sampling(request: GenerationRequest, **values: object) -> GenerationRequest:
    return replace(request, sampling=replace(request.sampling, **values))  # type: ignore[arg-type]


def variations(request: GenerationRequest) -> list[GenerationRequest]:
    """The request with one field changed, for every field and other value."""
    return [
        *(replace(request, **{n: v}) for n, vs in OTHER_REQUEST.items() for v in vs),  # type: ignore[arg-type]
        *(with_sampling(request, **{n: v}) for n, vs in OTHER_SAMPLING.items() for v in vs),
    ]


def test_every_field_is_varied() -> None:
    names = {field.name for field in fields(GenerationRequest)}
    assert names == OTHER_REQUEST.keys() | NOT_IN_KEYS | ONLY_WITH_FORM | {"sampling"}
    assert {field.name for field in fields(SamplingParams)} == OTHER_SAMPLING.keys()


def test_a_sampled_reply_has_another_key_when_any_field_is_another() -> None:
    requests = [REQUEST, *variations(REQUEST)]
    assert len({key_of(request) for request in requests}) == len(requests)


def test_where_in_its_form_a_reply_begins_is_in_the_key() -> None:
    requests = [
        replace(REQUEST, form_digest=digest, form_start=start)
        for digest in (b"a" * 32, b"b" * 32)
        for start in (None, 0, 7)
    ]
    assert len({key_of(request) for request in requests}) == len(requests)


def test_a_greedy_reply_has_the_key_that_decides_it() -> None:
    greedy = with_sampling(REQUEST, temperature=0.0)
    for name, values in OTHER_SAMPLING.items():
        for value in values:
            other = with_sampling(greedy, **{name: value})
            is_same = name in NOT_FOR_GREEDY or other == greedy
            assert (key_of(other) == key_of(greedy)) is is_same, name


def test_what_is_not_in_the_key_of_a_greedy_reply_does_not_change_it(tiny: LoadedModel) -> None:
    prompt = tuple(tiny.bundle.template.render_prompt("where is my parcel"))
    greedy = GenerationRequest(prompt, SamplingParams(temperature=0.0), 20)
    others = [
        with_sampling(greedy, **{name: value})
        for name in NOT_FOR_GREEDY
        for value in OTHER_SAMPLING[name]
    ]
    first, *rest = run_together(tiny, [greedy, *others])
    assert first.token_ids
    assert all(reply.essence == first.essence for reply in rest)


def test_the_order_of_stop_sequences_is_not_in_the_key_and_changes_nothing(
    tiny: LoadedModel,
) -> None:
    prompt = tuple(tiny.bundle.template.render_prompt("hello"))
    plain = GenerationRequest(prompt, SamplingParams(seed=3), 40)
    (reply,) = run_together(tiny, [plain])
    middle = len(reply.text) // 2
    stops = (reply.text[middle : middle + 2], reply.text[middle : middle + 4], "zzz")
    requests = [
        replace(plain, stop_sequences=order)
        for order in (stops, stops[::-1], (*stops, *stops), stops[1:] + stops[:1])
    ]
    assert len({key_of(request) for request in requests}) == 1
    replies = run_together(tiny, requests)
    assert len({str(reply.essence) for reply in replies}) == 1
    assert replies[0].text == reply.text[: reply.text.index(stops[0])]


def test_the_tokens_to_go_on_after_are_of_the_same_reply() -> None:
    assert key_of(replace(REQUEST, resume_ids=(4, 5))) == key_of(REQUEST)


@pytest.mark.parametrize(
    "owner",
    [
        Owner("tiny", "1", "e" * 64),
        Owner("tiny", "2", "d" * 64),
        Owner("other", "1", "d" * 64),
        Owner("tiny", "1", "d" * 64, "alice"),
    ],
)
def test_another_model_version_digest_or_scope_is_another_key(owner: Owner) -> None:
    assert key_of(REQUEST, owner) != key_of(REQUEST)


@settings(max_examples=300)
@given(
    st.lists(st.text(max_size=4), max_size=3),
    st.lists(st.text(max_size=4), max_size=3),
    st.lists(st.integers(0, 300), max_size=4),
    st.lists(st.integers(0, 300), max_size=4),
)
def test_no_two_contents_run_into_each_other(
    stops: list[str], other_stops: list[str], prompt: list[int], other_prompt: list[int]
) -> None:
    one = replace(REQUEST, stop_sequences=tuple(stops), prompt_ids=tuple(prompt))
    other = replace(REQUEST, stop_sequences=tuple(other_stops), prompt_ids=tuple(other_prompt))
    is_same = set(stops) == set(other_stops) and prompt == other_prompt
    assert (key_of(one) == key_of(other)) is is_same


def test_variants_of_a_question_are_some_seeds_of_its_own() -> None:
    question = digest_question(OWNER, REQUEST)
    other = digest_question(OWNER, replace(REQUEST, max_tokens=19))
    seeds = [variant_seed(question, variant) for variant in range(64)]
    assert len(set(seeds)) == 64
    assert all(0 <= seed < 1 << 64 for seed in seeds)
    assert not set(seeds) & {variant_seed(other, variant) for variant in range(64)}


def test_keys_are_the_same_in_every_process_and_release() -> None:
    # servers of different releases share one Redis: a change here needs another SCHEMA
    question = digest_question(OWNER, REQUEST)
    assert question.hex() == PINNED_QUESTION
    assert key_of(REQUEST).hex() == PINNED_KEY
    assert variant_seed(question, 3) == PINNED_SEED


PINNED_QUESTION = "93ab4d84dbe6657a0d7aca274f47192836d5b7f961572916b401a0064ec6596d"
PINNED_KEY = "2001076154263fa18d8d5a6275adc7b590cb7cfe1e1de121c9f17d599deb39d8"
PINNED_SEED = 3266389591953564655
