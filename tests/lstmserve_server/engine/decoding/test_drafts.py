"""Guesses make a reply faster, and change nothing about it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.decoding.drafts import CONTEXT, Drafts, guess
from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from support.comparison import assert_as_computed, expect
from support.engines import Bench, LoadedModel, run_together
from support.random_requests import random_request
from support.reference import ReferenceDecoder

END = 2
TEXT = [5, 6, 7, 8, 9, 10, 11, 12, END]
texts = st.lists(st.integers(0, 20), min_size=CONTEXT, max_size=40)


def learned(*replies: list[int]) -> Drafts:
    drafts = Drafts()
    for token_ids in replies:
        drafts.learn(token_ids)
    return drafts


def test_what_followed_twice_is_guessed_up_to_the_end() -> None:
    drafts = learned(TEXT, TEXT)
    assert guess(drafts.table, TEXT[:4], 7, END) == TEXT[4:-1]
    assert guess(drafts.table, TEXT[:4], 2, END) == TEXT[4:6]
    assert guess(drafts.table, TEXT[1:5], 0, END) == []


def test_what_followed_once_is_not_guessed() -> None:
    assert guess(learned(TEXT).table, TEXT[:4], 7, END) == []
    assert guess(Drafts().table, [0, 0, 0, 0], 7, END) == []


def test_what_follows_lately_takes_the_place_of_what_did() -> None:
    other = [*TEXT[:4], 20, 21]
    drafts = learned(TEXT, TEXT, *[other] * 4)
    assert guess(drafts.table, TEXT[:4], 1, END) == [20]


@given(st.lists(texts, max_size=8), texts, st.integers(0, 9))
def test_any_tokens_may_be_learned(replies: list[list[int]], recent: list[int], most: int) -> None:
    guessed = guess(learned(*replies).table, recent, most, END)
    assert len(guessed) <= most
    assert END not in guessed


@pytest.mark.parametrize("quantum_steps", [2, 3, 8, 16])  # nothing is guessed within one step
def test_replies_that_were_guessed_are_those_of_a_plain_decoder(
    tiny: LoadedModel, reference: ReferenceDecoder, quantum_steps: int
) -> None:
    rng = random.Random(quantum_steps)
    bench = Bench(tiny, EngineConfig(max_running=1, quantum_steps=quantum_steps))
    drawn = (random_request(tiny.bundle, rng) for _ in range(60))
    guessable = [request for request in drawn if not request.sampling.is_adjusted]
    for number, request in enumerate(guessable):
        expected = expect(reference, request, rng)
        for again in range(3 * number, 3 * number + 3):
            bench.submit(again, expected[0])
            assert_as_computed(bench.run()[again], expected)
    guessed, right = bench.recorder.drafted
    assert 0 < right <= guessed


def test_a_wrong_guess_costs_nothing_but_itself(tiny: LoadedModel) -> None:
    """Other seeds choose other tokens after what was the same."""
    request = GenerationRequest((7, 8, 9), SamplingParams(temperature=0.0), 40, min_tokens=40)
    sampled = [
        replace(request, sampling=SamplingParams(temperature=0.3, seed=seed)) for seed in range(8)
    ]
    together = run_together(tiny, sampled)
    bench = Bench(tiny)
    for number, one in enumerate([request] * 3 + sampled):
        bench.submit(number, one)
        bench.run()
    replies = [bench.replies[3 + number] for number in range(len(sampled))]
    assert [reply.essence for reply in replies] == [reply.essence for reply in together]
    guessed, right = bench.recorder.drafted
    assert right < guessed
