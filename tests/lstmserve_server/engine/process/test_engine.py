"""The engine's manners: who waits, who is refused, what a cancellation frees."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import torch

from benchmarks.testbed.waiting import until
from lstmserve_server.config import EngineConfig
from lstmserve_server.engine.messages import Amend, Load, Submit
from lstmserve_server.engine.output import FinishReason
from lstmserve_server.engine.process import batch
from lstmserve_server.engine.request import Claim, GenerationRequest, SamplingParams
from lstmserve_server.errors import DeadlineError, QueueFullError, ResumeMismatchError
from support.engines import Bench, LoadedModel, Reply, prompt_ids, run_together

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


def test_states_beyond_what_a_message_may_have_are_left_out(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> list[Reply]:
        return run_together(tiny, [long_request(tiny)] * 5, with_states=True)

    everything = run()
    monkeypatch.setattr(batch, "MAX_GIVEN_BYTES", 2 * tiny.runner.row_bytes)
    some = run()
    assert [reply.essence for reply in some] == [reply.essence for reply in everything]
    assert [len(reply.states) for reply in everything] == [len(everything[0].states)] * 5
    assert sum(len(reply.states) for reply in some) == 2 * len(everything[0].states)


def test_a_long_prompt_of_one_does_not_stall_another(tiny: LoadedModel) -> None:
    bench = Bench(tiny, EngineConfig(prefill_piece_tokens=8, quantum_steps=4))
    bench.submit(0, long_request(tiny))
    bench.step()
    many = prompt_ids(tiny.bundle, "hello " * 100)
    bench.submit(1, GenerationRequest(many, GREEDY, max_tokens=4))
    while not bench.replies[1].token_ids:
        before = len(bench.replies[0].token_ids)
        bench.step()
        is_first_token = len(bench.replies[1].token_ids) == 1
        assert len(bench.replies[0].token_ids) > before or bench.replies[0].finish or is_first_token


def test_a_suspect_that_waits_can_have_another_deadline(tiny: LoadedModel) -> None:
    engine, late = Bench(tiny).engine, Claim("a", deadline=0.0)
    suspects = [
        Submit(n, long_request(tiny), late, 0.0, is_admitted=True, is_suspect=True)
        for n in range(2)
    ]
    for submit in suspects:
        engine.run(submit)
    engine.run(Amend(1, Claim("b")))
    found: dict[int, str] = {}
    num_tokens = 0
    while engine.has_work:
        turn = engine.turn()
        found |= {refusal.reply_id: refusal.kind for refusal in turn.refusals}
        num_tokens += sum(len(row.token_ids) for row in turn.rows if row.reply_id == 1)
    assert found == {0: "DeadlineError"}
    assert num_tokens == 64


def test_a_cancelled_reply_decodes_nothing_more(tiny: LoadedModel) -> None:
    bench = Bench(tiny)
    for number in range(3):
        bench.submit(number, long_request(tiny))
    bench.step()
    bench.cancel(1)
    bench.cancel(1)
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
    bench.cancel(0)
    bench.run()
    assert bench.load == Load()
    assert not bench.replies[0].token_ids


def test_a_full_queue_refuses_and_a_freed_place_is_used(tiny: LoadedModel) -> None:
    bench = Bench(tiny, EngineConfig(max_running=1, max_waiting=1))
    bench.submit(0, long_request(tiny))
    bench.step()
    bench.submit(1, long_request(tiny))
    with pytest.raises(QueueFullError):
        bench.submit(2, long_request(tiny))
    bench.cancel(1)
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
        bench.submit(1, request)
    assert not bench.has_work


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


def test_a_deadline_that_passes_ends_a_reply_and_costs_a_waiting_one_nothing(
    tiny: LoadedModel,
) -> None:
    bench = Bench(tiny, EngineConfig(max_running=1, quantum_steps=1))
    soon = replace(long_request(tiny), stop_sequences=("no such text",))
    bench.submit(0, soon, Claim(deadline=60.0))  # ticks of the clock
    bench.submit(1, soon, Claim(deadline=30.0))
    replies = bench.run()
    assert 0 < len(replies[0].token_ids) < 64
    assert replies[1].token_ids == []
    assert all(isinstance(reply.error, DeadlineError) for reply in replies.values())
    assert len(bench.recorder.cancelled) == 2


@pytest.mark.parametrize("quantum_steps", [1, 3])
def test_a_parked_reply_goes_on_exactly_however_often_it_is_parked(
    tiny: LoadedModel, quantum_steps: int
) -> None:
    config = EngineConfig(max_running=4, quantum_steps=quantum_steps)
    sampled = replace(long_request(tiny), sampling=SamplingParams(seed=5, num_logprobs=3))
    undisturbed = run_together(tiny, [sampled])[0]
    bench = Bench(tiny, config)
    for number in range(6):
        bench.submit(number, sampled)
    for turn in range(60):
        bench.step()
        bench.park(turn % 6)
        bench.unpark((turn + 3) % 6)
    for number in range(6):
        bench.unpark(number)
    assert all(reply.essence == undisturbed.essence for reply in bench.run().values())


def test_a_reply_that_is_preempted_for_another_caller_goes_on_exactly(tiny: LoadedModel) -> None:
    undisturbed = run_together(tiny, [long_request(tiny)])[0]
    bench = Bench(tiny, EngineConfig(max_running=2, quantum_steps=4))
    for number in range(4):
        bench.submit(number, long_request(tiny), Claim(caller="greedy"))
    bench.step()
    for number in range(4, 8):
        bench.submit(number, long_request(tiny), Claim(caller=f"modest {number}"))
        bench.step()
        assert bench.replies[4].token_ids  # its first token came with its first step
    assert all(reply.essence == undisturbed.essence for reply in bench.run().values())


def test_a_prompt_of_4000_tokens_delays_neither_running_replies_nor_first_tokens(
    tiny: LoadedModel,
) -> None:
    """With 32 replies running: bounded reading between two quanta, whatever arrives."""
    config = EngineConfig()
    bench = Bench(tiny, config)
    for number in range(32):
        bench.submit(number, long_request(tiny, 2000))
    while not all(reply.token_ids for reply in bench.replies.values()):
        bench.step()
    huge = prompt_ids(tiny.bundle, "hello " * 800)[:4000]
    bench.submit(32, GenerationRequest((huge * 4)[:4000], GREEDY, max_tokens=2))
    bench.submit(33, GenerationRequest(prompt_ids(tiny.bundle, "hello"), GREEDY, max_tokens=2))
    bench.step()
    assert bench.replies[33].token_ids  # at once, though it came after the huge one
    num_steps = 0
    while not bench.replies[32].token_ids:
        before = sum(len(bench.replies[number].token_ids) for number in range(32))
        bench.step()
        num_steps += 1
        decoded = sum(len(bench.replies[number].token_ids) for number in range(32)) - before
        assert decoded == 32 * config.quantum_steps or bench.replies[32].token_ids or num_steps == 1
    assert num_steps >= 4000 // config.prefill_piece_tokens - 1


def test_what_came_before_a_quantum_began_ends_it_too(tiny: LoadedModel) -> None:
    """As a request does that comes while prompts are read: nobody has looked for it since."""
    runner, bench = tiny.runner, Bench(tiny, EngineConfig(quantum_steps=64))
    for number in range(2):
        bench.submit(number, long_request(tiny, 512))
    bench.step()  # the first tokens
    before, runner.arrivals = runner.arrivals, torch.ones((), dtype=torch.int64)
    try:
        runner.note_arrivals()
        bench.step()
        runner.arrivals.add_(1)
        bench.step()
    finally:
        runner.arrivals = before
        runner.note_arrivals()
    assert [len(reply.token_ids) for reply in bench.replies.values()] == [1 + 64 + 1] * 2


def test_a_quantum_of_few_rows_ends_when_something_comes(tiny: LoadedModel) -> None:
    """And what was decoded by then is the same."""
    request = long_request(tiny, 512)
    undisturbed = run_together(tiny, [request])[0]
    arrivals, lengths, is_over = torch.zeros((), dtype=torch.int64), set[int](), threading.Event()

    def keep_coming() -> None:
        while not is_over.is_set():
            arrivals.add_(1)

    bench = Bench(tiny, EngineConfig(quantum_steps=64))
    bench.submit(0, request)
    bench.step()  # the first token
    before, tiny.runner.arrivals = tiny.runner.arrivals, arrivals
    coming = threading.Thread(target=keep_coming)
    coming.start()
    try:
        until(lambda: int(arrivals) > 0, "something comes before any quantum begins")
        while bench.has_work:
            num_before = len(bench.replies[0].token_ids)
            bench.step()
            lengths.add(len(bench.replies[0].token_ids) - num_before)
    finally:
        is_over.set()
        coming.join()
        tiny.runner.arrivals = before
    assert bench.replies[0].essence == undisturbed.essence
    assert max(lengths) < 64
