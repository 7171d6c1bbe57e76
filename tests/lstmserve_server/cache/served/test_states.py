"""The next turn of a conversation costs its new tokens only, and gives the same bits."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.testbed.redis import RedisProcess
from lstmserve.v1 import cache_service_pb2 as admin
from lstmserve.v1 import generation_service_pb2 as pb
from support.engines import LoadedModel
from support.served import Served, serve
from support.whole_reply import WholeReply
from support.wire_requests import conversation, make_request, with_mode

STRIDE = 16
LEAST_TOKENS = 16  # of a state that is worth looking for
STRIDES = ("--state-stride-tokens", str(STRIDE), "--cache-threshold", "2")
QUESTIONS = (
    "hello, I have been waiting for my parcel since Monday 🚚",
    "no, I did not get any message from you, where is it?",
    "包裹到了吗",
    "thanks 👍",
)
LONG_TEXT = "my lamp is broken and I want to return it, but nobody answers me. "


@pytest.fixture(scope="module")
def running(tiny_store: Path) -> Iterator[Served]:
    with serve(tiny_store, *STRIDES) as shared:
        yield shared


@pytest.fixture
def served(running: Served) -> Served:
    """It keeps nothing yet of what begins as the test's texts do."""
    running.cache.PurgeCache(admin.PurgeCacheRequest())
    return running


@pytest.fixture(scope="module")
def replicas(tiny_store: Path, shared_redis: RedisProcess) -> Iterator[tuple[Served, Served]]:
    """Two servers with a Redis between them."""
    shared_redis.client.flushall()
    redis = ("--redis-url", shared_redis.url, "--redis-budget-ms", "5000")
    with serve(tiny_store, *STRIDES, *redis) as one, serve(tiny_store, *STRIDES, *redis) as other:
        yield one, other


def turn_request(turns: list[str], seed: int) -> pb.GenerateRequest:
    return pb.GenerateRequest(
        conversation=conversation(*turns),
        sampling=pb.SamplingParams(seed=seed, temperature=1.3, logprobs=2),
        stopping=pb.StoppingCriteria(max_tokens=24),
    )


def talk(seed: int, *servers: Served) -> list[list[WholeReply]]:
    """A conversation; each turn is asked of every server, the first one's reply is said."""
    rng, turns, replies = random.Random(seed), [], []
    for question in rng.sample(QUESTIONS, len(QUESTIONS)):
        turns.append(f"{question} {seed}")
        request = turn_request(turns, seed)
        replies.append([served.ask(request, unary=rng.random() < 0.5) for served in servers])
        turns.append(replies[-1][0].text.strip() or "well")
    return replies


def test_a_turn_reads_only_what_was_not_said_before(served: Served, uncached: Served) -> None:
    before = 0
    for right, reply in talk(1, uncached, served):
        assert reply == right
        assert right.known_tokens == 0
        # all but the marker of who speaks next
        assert reply.known_tokens == (before if before >= LEAST_TOKENS else 0)
        before = reply.prompt_tokens - 1
    assert before > 3 * LEAST_TOKENS


def test_another_replica_goes_on_with_a_conversation(
    replicas: tuple[Served, Served], uncached: Served
) -> None:
    known = []
    for seed in range(20, 26):
        turns: list[str] = []
        before = 0
        for number, question in enumerate(QUESTIONS):
            turns.append(f"{question} {seed}")
            request = turn_request(turns, seed)
            right, reply = uncached.ask(request), replicas[number % 2].ask(request)
            assert reply == right
            if number:
                known.append((reply.known_tokens, before))
            turns.append(right.text.strip() or "well")
            before = reply.prompt_tokens - 1
    # a state that is still being written is not found, which is rare
    assert all(found <= expected for found, expected in known)
    assert sum(found == expected for found, expected in known) > len(known) // 2


def test_a_state_written_to_redis_is_read_by_the_other_replica(
    replicas: tuple[Served, Served], uncached: Served
) -> None:
    one, other = replicas
    prompt = LONG_TEXT * 2
    reply = one.ask(make_request(prompt, seed=1))
    requests = (make_request(prompt, seed=seed) for seed in range(3, 500))
    found = next(reply for reply in map(other.ask, requests) if reply.known_tokens)
    # Redis is not asked for the whole prompt: that is what replies are kept for
    assert found.known_tokens == (reply.prompt_tokens - 2) // STRIDE * STRIDE
    assert found == uncached.ask(make_request(prompt, seed=found.seed))


def test_prompts_that_begin_alike_share_what_was_read(
    served: Served, uncached: Served, tiny: LoadedModel
) -> None:
    rng = random.Random(4)
    words = LONG_TEXT.split() * 3
    first = " ".join(words)
    served.ask(make_request(first, seed=1))
    seen = [tiny.bundle.template.render_prompt(first)]
    for seed, cut in enumerate(rng.sample(range(1, len(words)), 12)):
        prompt = " ".join([*words[:cut], "茶杯", *words[cut:]])
        request = make_request(prompt, seed=seed, logprobs=1)
        reply = served.ask(request)
        assert reply == uncached.ask(request)
        tokens = tiny.bundle.template.render_prompt(prompt)
        common = max(count_common(tokens, other) for other in seen)
        assert reply.known_tokens == common // STRIDE * STRIDE
        seen.append(tokens)


def count_common(tokens: list[int], others: list[int]) -> int:
    pairs = enumerate(zip(tokens, others, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(tokens), len(others)))


def test_the_same_prompt_with_another_seed_is_read_by_nobody(served: Served) -> None:
    replies = [served.ask(make_request(LONG_TEXT * 2 + "so?", seed=seed)) for seed in range(4)]
    assert [reply.known_tokens == reply.prompt_tokens - 1 for reply in replies[1:]] == [True] * 3


def test_many_conversations_at_once(served: Served, uncached: Served) -> None:
    with ThreadPoolExecutor(12) as pool:
        talks = [*pool.map(lambda seed: talk(seed, uncached, served), range(100, 124))]
    assert all(reply == right for turns in talks for right, reply in turns)
    assert all(turns[-1][1].known_tokens > LEAST_TOKENS for turns in talks)


def test_bypass_neither_reads_nor_keeps_states(served: Served) -> None:
    prompt, bypass = LONG_TEXT * 2 + "well?", pb.CACHE_MODE_BYPASS
    assert served.ask(make_request(prompt, seed=1, mode=bypass)).known_tokens == 0
    request = make_request(prompt, seed=2)
    assert served.ask(request).known_tokens < served.ask(request).prompt_tokens - 1
    assert served.ask(with_mode(request, bypass)).known_tokens == 0


def test_states_that_do_not_all_fit_change_no_reply(tiny_store: Path, uncached: Served) -> None:
    num_bytes = 4000  # two or three of them
    with serve(tiny_store, *STRIDES, "--state-cache-bytes", str(num_bytes)) as small:
        for seed in range(4):
            assert all(reply == right for right, reply in talk(seed, uncached, small))
        held, gone = (small.page().total(f"state_cache_{n}") for n in ("bytes", "evictions_total"))
    assert 0 < held <= num_bytes
    assert gone > 0
