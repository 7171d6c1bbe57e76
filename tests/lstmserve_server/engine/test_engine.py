"""The engine's manners: who waits, who is refused, what a cancellation frees."""

from __future__ import annotations

import pytest

from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.output import FinishReason
from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from lstmserve_server.errors import QueueFullError, ResumeMismatchError
from lstmserve_server.store.loader import LoadedModel
from support.engines import Bench, prompt_ids

GREEDY = SamplingParams(temperature=0.0)


def long_request(model: LoadedModel, tokens: int = 64) -> GenerationRequest:
    return GenerationRequest(
        prompt_ids(model.bundle, "hello"), GREEDY, max_tokens=tokens, min_tokens=tokens
    )


def test_the_first_token_comes_with_the_first_step(tiny: LoadedModel) -> None:
    bench = Bench(tiny)
    bench.submit(0, long_request(tiny))
    bench.step()
    assert len(bench.replies[0].token_ids) == 1


def test_a_long_prompt_of_one_does_not_stall_another(tiny: LoadedModel) -> None:
    bench = Bench(tiny, EngineConfig(prefill_piece_tokens=8, quantum_steps=4))
    bench.submit(0, long_request(tiny))
    bench.step()
    many = prompt_ids(tiny.bundle, "hello " * 100)
    bench.submit(1, GenerationRequest(many, GREEDY, max_tokens=4))
    while not bench.replies[1].token_ids:
        before = len(bench.replies[0].token_ids)
        bench.step()
        assert len(bench.replies[0].token_ids) > before or bench.replies[0].finish


def test_a_cancelled_reply_decodes_nothing_more(tiny: LoadedModel) -> None:
    bench = Bench(tiny)
    for number in range(3):
        bench.submit(number, long_request(tiny))
    bench.step()
    bench.engine.cancel(1)
    bench.engine.cancel(1)
    replies = bench.run()
    assert len(replies[1].token_ids) == 1
    assert len(replies[0].token_ids) == len(replies[2].token_ids) == 64
    assert {rows for rows, _ in bench.recorder.batches[1:]} == {2}


@pytest.mark.parametrize("steps", [0, 1])
def test_a_reply_is_cancelled_wherever_it_is(tiny: LoadedModel, steps: int) -> None:
    """Waiting, or with half of its prompt read."""
    bench = Bench(tiny, EngineConfig(prefill_piece_tokens=1))
    bench.submit(0, long_request(tiny))
    for _ in range(steps):
        bench.step()
    bench.engine.cancel(0)
    assert not bench.engine.has_work


def test_a_full_queue_refuses_and_a_freed_place_is_used(tiny: LoadedModel) -> None:
    bench = Bench(tiny, EngineConfig(max_running=1, max_waiting=1))
    bench.submit(0, long_request(tiny))
    bench.step()
    bench.submit(1, long_request(tiny))
    with pytest.raises(QueueFullError):
        bench.engine.submit(2, long_request(tiny), arrived_at=0.0)
    bench.engine.cancel(1)
    bench.submit(3, long_request(tiny))
    assert bench.run()[3].finish is not None


def test_nothing_can_follow_a_reply_whose_stop_sequence_has_matched(tiny: LoadedModel) -> None:
    bench = Bench(tiny)
    bench.submit(0, long_request(tiny))
    whole = bench.run()[0]
    request = GenerationRequest(
        prompt_ids(tiny.bundle, "hello"),
        GREEDY,
        max_tokens=64,
        stop_sequences=(whole.text[2:5],),
        resume_ids=tuple(whole.token_ids[:40]),
    )
    with pytest.raises(ResumeMismatchError):
        bench.engine.submit(1, request, arrived_at=0.0)
    assert not bench.engine.has_work


def test_tokens_decoded_past_the_end_are_counted_and_not_sent(tiny: LoadedModel) -> None:
    bench = Bench(tiny, EngineConfig(quantum_steps=8))
    bench.submit(0, long_request(tiny, 3))
    bench.submit(1, long_request(tiny, 40))
    replies = bench.run()
    assert len(replies[0].token_ids) == 3
    assert bench.recorder.wasted == sum(
        rows * steps for rows, steps in bench.recorder.batches
    ) - sum(len(reply.token_ids) for reply in replies.values())


def test_a_finish_tells_the_times_in_order(tiny: LoadedModel) -> None:
    bench = Bench(tiny)
    bench.submit(0, long_request(tiny, 5))
    finish = bench.run()[0].finish
    assert finish is not None
    assert finish.reason is FinishReason.MAX_TOKENS
    assert finish.num_tokens == 5
    times = finish.timings
    assert 0 < times.queue_seconds < times.time_to_first_token_seconds <= times.total_seconds
