"""The engine equals a plain decoder: every token, every bit of every log-probability."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from support.comparison import Expected, assert_as_computed, expect
from support.engines import MAX_ROWS, Bench, LoadedModel, run_together
from support.random_requests import random_request
from support.reference import ReferenceDecoder
from support.torch_threads import torch_threads

EVERYTHING_AT_ONCE = 1024  # no prompt of these tests is longer


@pytest.fixture(scope="module")
def pool(tiny: LoadedModel, reference: ReferenceDecoder) -> list[Expected]:
    """Requests of all kinds with what must come of them."""
    rng = random.Random(11)
    requests = [random_request(tiny.bundle, rng) for _ in range(2 * MAX_ROWS)]
    return [expect(reference, request, rng) for request in requests]


def assert_all(model: LoadedModel, pool: list[Expected], config: EngineConfig) -> None:
    replies = run_together(model, [request for request, _ in pool], config)
    for reply, expected in zip(replies, pool, strict=True):
        assert_as_computed(reply, expected)


@pytest.mark.parametrize("rows", range(1, MAX_ROWS + 1))
def test_any_number_of_rows(tiny: LoadedModel, pool: list[Expected], rows: int) -> None:
    """They start together and leave one by one; a batch of so many comes about for certain."""
    config = EngineConfig(max_running=rows, prefill_piece_tokens=EVERYTHING_AT_ONCE)
    assert_all(tiny, pool[rows : 2 * rows], config)


@pytest.mark.parametrize("steps", range(1, 17))
def test_any_quantum(tiny: LoadedModel, pool: list[Expected], steps: int) -> None:
    assert_all(tiny, pool, EngineConfig(max_running=17, quantum_steps=steps))


@pytest.mark.parametrize("tokens", [1, 2, 3, 4, 5, 7, 8, 13, 16, 31, 64, EVERYTHING_AT_ONCE])
def test_prompts_read_in_pieces_of_any_size(
    tiny: LoadedModel, pool: list[Expected], tokens: int
) -> None:
    assert_all(tiny, pool, EngineConfig(max_running=31, prefill_piece_tokens=tokens))


def test_two_threads(tiny: LoadedModel, pool: list[Expected]) -> None:
    with torch_threads(2):
        for rows in (1, 8, 64):
            assert_all(tiny, pool[:rows], EngineConfig(max_running=rows))


requests = st.builds(
    GenerationRequest,
    prompt_ids=st.lists(st.integers(0, 447), min_size=1, max_size=40).map(tuple),
    sampling=st.builds(
        SamplingParams,
        temperature=st.just(0.0) | st.floats(0, 2),
        top_k=st.just(0) | st.integers(1, 448),
        top_p=st.just(1.0) | st.floats(0, 1, exclude_min=True),
        min_p=st.just(0.0) | st.floats(0, 1, exclude_max=True),
        seed=st.integers(0, 2**64 - 1),
        num_logprobs=st.none() | st.integers(0, 20),
        repetition_penalty=st.just(1.0) | st.floats(0.1, 10),
        frequency_penalty=st.just(0.0) | st.floats(-2, 2),
        presence_penalty=st.just(0.0) | st.floats(-2, 2),
        logit_bias=st.dictionaries(st.integers(0, 447), st.floats(-100, 100), max_size=5).map(
            lambda biases: tuple(biases.items())
        ),
    ),
    max_tokens=st.integers(1, 16),
    min_tokens=st.integers(0, 16),
)


@given(asked=st.lists(requests, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_any_parameters_side_by_side(
    tiny: LoadedModel, reference: ReferenceDecoder, asked: list[GenerationRequest]
) -> None:
    for reply, request in zip(run_together(tiny, asked), asked, strict=True):
        assert_as_computed(reply, (request, reference.reply(request)))


configs = st.builds(
    EngineConfig,
    max_running=st.integers(1, MAX_ROWS),
    quantum_steps=st.integers(1, 16),
    prefill_piece_tokens=st.integers(1, 64),
)
events = st.one_of(
    st.tuples(st.just("submit"), st.integers(0, 2 * MAX_ROWS - 1)),
    st.tuples(st.just("step"), st.just(0)),
    st.tuples(st.just("cancel"), st.integers(0, 63)),
)


@given(config=configs, schedule=st.lists(events, max_size=80), threads=st.sampled_from([1, 2]))
@settings(max_examples=60, deadline=None)
def test_any_schedule(
    tiny: LoadedModel,
    pool: list[Expected],
    config: EngineConfig,
    schedule: list[tuple[str, int]],
    threads: int,
) -> None:
    """Requests come, run and are cancelled in any order, before, while and after they run."""
    bench = Bench(tiny, config)
    submitted: list[Expected] = []
    cancelled: set[int] = set()
    with torch_threads(threads):
        for event, number in schedule:
            if event == "submit":
                bench.submit(len(submitted), pool[number][0])
                submitted.append(pool[number])
            elif event == "cancel":
                bench.cancel(number)
                cancelled.add(number)
            else:
                bench.step()
        replies = bench.run()
    for number, expected in enumerate(submitted):
        assert_as_computed(replies[number], expected)
        assert replies[number].finish is not None or number in cancelled
