"""The simulated fleet: closed forms, conservation, repeatability."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import simpy

from benchmarks.capacity.che import hit_probabilities
from benchmarks.capacity.contents import fill, likely_near
from benchmarks.capacity.cores import Cores, Steps, Thread
from benchmarks.capacity.costs import Costs, override
from benchmarks.capacity.fleet_plan import Balancer, FleetPlan
from benchmarks.capacity.flight import Source
from benchmarks.capacity.lru import Frequency, Lru
from benchmarks.capacity.others import start_others
from benchmarks.capacity.popularity import draw_questions, zipf_shares
from benchmarks.capacity.redis_model import Breaker
from benchmarks.capacity.simulation import Run, Timing, simulate
from benchmarks.capacity.traffic import Traffic, draw_gaps, draw_requests
from lstmserve_server.config import EngineConfig

COSTS = Costs(
    step_seconds={1.0: 0.4e-3, 8.0: 0.6e-3, 64.0: 2.6e-3},
    turn_seconds=0.1e-3,
    reply_seconds=0.1e-3,
    prefill_token_seconds=10e-6,
    engine_factor=1.0,
    front_generated_seconds=0.4e-3,
    front_kept_seconds=0.3e-3,
    front_far_seconds=0.1e-3,
    front_message_seconds=50e-6,
    redis_operation_seconds=30e-6,
    redis_round_trip_seconds=0.2e-3,
    generator_request_seconds=50e-6,
    generator_message_seconds=20e-6,
    wake_up_seconds={0.0: 0.2e-3},
)
SHORT = Timing(warm_up=0.5, seconds=2.0)
SMALL = Traffic(rate=200, questions=500, variants=2, fresh_share=0.2)


def wait_in_queue(load: float, is_exponential: bool, jobs: int = 40_000) -> float:
    """Mean wait before a job of one second on average, at random arrivals."""
    environment, source = simpy.Environment(), random.Random(1)
    thread = Thread(environment, Cores(environment, 1))
    waits: list[float] = []

    def work(seconds: float) -> Steps:
        came = environment.now
        yield from thread.run(seconds)
        waits.append(environment.now - came - seconds)

    def come() -> Steps:
        for _ in range(jobs):
            yield environment.timeout(source.expovariate(load))
            environment.process(work(source.expovariate(1) if is_exponential else 1.0))

    environment.process(come())
    environment.run()
    return float(np.mean(waits))


# 40,000 waits, of which some thousand are independent: a few percent
def test_a_thread_is_the_queue_of_the_books() -> None:
    assert wait_in_queue(0.5, is_exponential=True) == pytest.approx(1.0, rel=0.1)  # M/M/1: r/(1-r)
    assert wait_in_queue(0.7, is_exponential=True) == pytest.approx(0.7 / 0.3, rel=0.1)
    assert wait_in_queue(0.7, is_exponential=False) == pytest.approx(0.35 / 0.3, rel=0.1)  # M/D/1


@pytest.mark.parametrize("is_exponential", [True, False])
def test_shared_cores_slow_every_thread_alike(is_exponential: bool) -> None:
    """Processor sharing: on average 1 / (1 - load) whatever the jobs are."""
    environment, source = simpy.Environment(), random.Random(2)
    cores, spent = Cores(environment, 1), []

    def work(seconds: float) -> Steps:
        came = environment.now
        yield cores.run(seconds)
        spent.append(environment.now - came)

    def come() -> Steps:
        for _ in range(40_000):
            yield environment.timeout(source.expovariate(0.6))
            environment.process(work(source.expovariate(1) if is_exponential else 1.0))

    environment.process(come())
    environment.run()
    assert np.mean(spent) == pytest.approx(1 / (1 - 0.6), rel=0.1)
    assert cores.busy_seconds == pytest.approx(40_000, rel=0.05)


def test_two_cores_serve_two_threads_at_full_speed_and_three_at_two_thirds() -> None:
    environment = simpy.Environment()
    cores, ends = Cores(environment, 2), []

    def work() -> Steps:
        yield cores.run(2.0)
        ends.append(environment.now)

    for _ in range(3):
        environment.process(work())
    environment.run()
    assert ends == pytest.approx([3.0, 3.0, 3.0])


def test_other_programs_take_their_share_of_the_cores() -> None:
    environment = simpy.Environment()
    cores = Cores(environment, 2)
    start_others(environment, cores, 3.0, random.Random(10))
    environment.run(0.01)
    environment.run(cores.run(300.0))
    # one thread among three others, more or less: about half of a core
    assert 300 * 1.7 < environment.now < 300 * 2.3


def test_an_lru_cache_hits_as_ches_approximation_says() -> None:
    shares = zipf_shares(2000, 0.9)
    kept, hits = Lru(200), []
    for question in islice(draw_questions(shares, np.random.default_rng(3)), 60_000):
        hits.append(kept.find(question))
        kept.put(question, 1)
    found = float((shares * hit_probabilities(shares, 200)).sum())
    assert np.mean(hits[10_000:]) == pytest.approx(found, abs=0.02)


def test_admission_keeps_what_is_asked_again_as_the_closed_form_says() -> None:
    shares, window = zipf_shares(2000, 0.9), 400
    kept, asked, hits = Lru(200), Frequency(1e9), []
    recent: list[int] = []
    for question in islice(draw_questions(shares, np.random.default_rng(4)), 60_000):
        is_hit = kept.find(question)
        hits.append(is_hit)
        if not is_hit and question in recent[-window:]:
            kept.put(question, 1)
        recent.append(question)
        asked.add(question, 0.0)
    found = hit_probabilities(shares, 200, admission_rates=shares, window_seconds=window)
    assert np.mean(hits[10_000:]) == pytest.approx(float((shares * found).sum()), abs=0.03)
    assert asked.add(0, 0.0) > asked.add(1999, 0.0)


def test_a_warm_cache_holds_what_it_would_after_a_day() -> None:
    plan, traffic = FleetPlan(4, cache_bytes=1_000_000), Traffic(400, questions=5000)
    kept, likely = Lru(plan.cache_bytes), likely_near(plan, traffic)
    fill(kept, likely, traffic.rate / plan.replicas, traffic, seed=5)
    expected = traffic.variants * likely.sum()
    assert len(kept) == pytest.approx(expected, rel=0.1)
    assert kept.find((0, 0))


def test_what_was_asked_two_windows_ago_is_forgotten() -> None:
    asked = Frequency(10.0)
    assert [asked.add(7, now) for now in (0.0, 5.0, 12.0, 30.0, 60.0)] == [1, 2, 3, 2, 1]


def test_a_breaker_leaves_redis_alone_for_ever_longer() -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker.note(0.0, is_done=False)
    assert breaker.allows(0.0)
    breaker.note(0.0, is_done=False)
    assert not breaker.allows(0.9)
    assert breaker.allows(1.0)
    breaker.note(1.0, is_done=False)
    assert not breaker.allows(2.9)
    breaker.note(3.0, is_done=True)
    assert breaker.allows(3.0)


def run(plan: FleetPlan, traffic: Traffic = SMALL, **options: int) -> Run:
    return simulate(plan, traffic, COSTS, SHORT, **options)


def facts(found: Run) -> list[tuple[float, float, str]]:
    return [(call.arrived, call.end, call.source.value) for call in found.calls]


def test_the_same_seed_gives_the_same_figures_and_another_one_others() -> None:
    plan = FleetPlan(2)
    assert facts(run(plan, seed=6)) == facts(run(plan, seed=6))
    assert run(plan, seed=6).outcome == run(plan, seed=6).outcome
    assert facts(run(plan, seed=6)) != facts(run(plan, seed=7))


@pytest.mark.parametrize(
    "plan",
    [
        FleetPlan(2),
        FleetPlan(2, redis_shards=0, is_warm=False),
        FleetPlan(40, sample=2, balancer=Balancer.RANDOM),
        FleetPlan(1, cores=1, is_machine_shared=True),
        FleetPlan(1, engine=EngineConfig(max_running=4, max_waiting=8)),
    ],
)
def test_every_request_ends_once(plan: FleetPlan) -> None:
    found = run(plan, replace(SMALL, rate=300 * plan.replicas, callers=5))
    assert len(found.calls) == found.num_begun == len(set(map(id, found.calls)))
    assert sum(found.outcome.sources.values()) == pytest.approx(1)
    for call in found.calls:
        assert call.arrived < call.end <= call.deadline + 1
        if call.source not in (Source.REFUSED, Source.LATE):
            assert call.arrived < call.first <= call.end


def test_a_full_queue_refuses_and_clients_come_back() -> None:
    plan = FleetPlan(1, engine=EngineConfig(max_running=4, max_waiting=8), redis_shards=0)
    found = run(plan, replace(SMALL, rate=400, fresh_share=1.0, timeout_seconds=2.0))
    assert found.outcome.refusals > 0
    assert any(call.refusals and call.source is Source.GENERATED for call in found.calls)
    assert 0 < found.outcome.failed_share < 1


def test_kept_replies_spare_the_engine_and_identical_requests_share_one_generation() -> None:
    cold = FleetPlan(1, redis_shards=0, is_warm=False)
    one = replace(SMALL, rate=100, questions=1, variants=1, fresh_share=0.0)
    found = run(cold, one)
    sources = [call.source for call in found.calls]
    assert sources.count(Source.GENERATED) <= 2  # the first is not asked for often enough
    assert Source.NEAR in sources
    never_kept = run(replace(cold, cache_bytes=0), one)
    assert Source.JOINED in [call.source for call in never_kept.calls]


def test_redis_answers_what_another_replica_made() -> None:
    plan = FleetPlan(4, cache_bytes=0, balancer=Balancer.RANDOM)
    found = run(plan, replace(SMALL, fresh_share=0.0))
    assert found.outcome.sources[Source.FAR] > 0.5
    assert found.outcome.use.redis_operations_per_second > 0


def test_a_sample_shows_what_the_whole_fleet_does() -> None:
    traffic = replace(SMALL, rate=600, questions=5000)
    plan = FleetPlan(4, cache_bytes=400_000, redis_bytes=2_000_000)
    whole = simulate(plan, traffic, COSTS, Timing(1.0, 2.5))
    sample = simulate(replace(plan, sample=2), traffic, COSTS, Timing(1.0, 2.5))
    assert sample.outcome.requests_per_second == pytest.approx(600, rel=0.15)
    assert sample.outcome.hit_ratio == pytest.approx(whole.outcome.hit_ratio, abs=0.1)
    assert sample.outcome.use.engine == pytest.approx(whole.outcome.use.engine, rel=0.2)


def test_a_busy_replica_makes_callers_wait() -> None:
    calm, busy = (
        run(FleetPlan(1, redis_shards=0), replace(SMALL, rate=rate, fresh_share=1.0))
        for rate in (20, 250)
    )
    assert busy.outcome.reply_ms.p99 > 1.5 * calm.outcome.reply_ms.p99
    assert busy.outcome.use.engine > 3 * calm.outcome.use.engine


def test_requests_come_at_their_rate_also_in_bursts() -> None:
    for factor in (1.0, 1.8):
        source, now = random.Random(8), [0.0]
        gaps = draw_gaps(100.0, factor, source, lambda now=now: now[0])
        number = 0
        while now[0] < 400:
            now[0] += next(gaps)
            number += 1
        assert number == pytest.approx(40_000, rel=0.1)


def test_a_kept_reply_has_always_the_same_length() -> None:
    lengths: dict[tuple[int, int], int] = {}
    for question in islice(draw_requests(replace(SMALL, fresh_share=0.1), seed=9), 2000):
        if question.variant >= 0:
            key = (question.number, question.variant)
            assert lengths.setdefault(key, question.tokens) == question.tokens
            assert 8 <= question.tokens <= 64
    assert len(set(lengths.values())) > 20


@pytest.mark.parametrize("text", ["nothing=1", "turn_seconds=often", "turn_seconds=-1"])
def test_a_cost_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no cost|no number|from 0"):
        override(COSTS, [text])
