"""Whatever the cache does, a caller gets the reply that a server without one gives."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from lstmserve.v1 import generation_service_pb2 as pb
from support.served import Served
from support.whole_reply import WholeReply
from support.wire_requests import (
    conversation,
    copy_of,
    each_field_changed,
    make_request,
    random_requests,
    with_mode,
)

ASKED_TIMES = 3
SHARED = {pb.CACHE_OUTCOME_HIT, pb.CACHE_OUTCOME_COALESCED}
SAMPLED = make_request(temperature=1.3, seed=1)
GREEDY = make_request(temperature=0, seed=1)
BUSY = make_request(
    temperature=1.3,
    seed=1,
    top_k=50,
    top_p=0.95,
    min_p=0.01,
    repetition_penalty=1.1,
    frequency_penalty=0.1,
    presence_penalty=0.1,
    logprobs=3,
    logit_bias={9: 1.0},
    min_tokens=1,
    stops=["e"],
)


def check(uncached: Served, cached: Served, requests: list[pb.GenerateRequest]) -> list[WholeReply]:
    """Ask for each several times, in any order and at once; the replies that were right."""
    rng = random.Random(len(requests))
    asked = [(number, rng.random() < 0.5) for number in range(len(requests))] * ASKED_TIMES
    rng.shuffle(asked)
    with ThreadPoolExecutor(12) as pool:
        expected = [*pool.map(uncached.ask, requests)]
        replies = [*pool.map(lambda item: cached.ask(requests[item[0]], unary=item[1]), asked)]
    for (number, _), reply in zip(asked, replies, strict=True):
        assert reply == expected[number], requests[number]
    return replies


def count_shared(replies: list[WholeReply]) -> int:
    return sum(reply.outcome in SHARED for reply in replies)


@pytest.mark.parametrize("base", [SAMPLED, GREEDY, BUSY], ids=["sampled", "greedy", "busy"])
def test_requests_that_differ_in_one_thing(
    uncached: Served, cached: Served, base: pb.GenerateRequest
) -> None:
    requests = [*each_field_changed(base)]
    replies = check(uncached, cached, requests)
    # all but the first of each
    assert count_shared(replies) >= len(requests) * (ASKED_TIMES - 1)
    for request in requests:
        assert cached.ask(request).outcome == pb.CACHE_OUTCOME_HIT


def test_requests_that_differ_in_anything(uncached: Served, cached: Served) -> None:
    requests = random_requests(random.Random(7), 300)
    replies = check(uncached, cached, requests)
    assert count_shared(replies) >= len(requests) * (ASKED_TIMES - 1)


def test_two_models_never_answer_for_each_other(uncached: Served, cached: Served) -> None:
    requests = random_requests(random.Random(8), 30)
    others = [copy_of(request) for request in requests]
    for request in others:
        request.model = "other"
    replies = check(uncached, cached, [*requests, *others])
    assert {reply.model[0] for reply in replies} == {"tiny", "other"}
    texts = [uncached.ask(request).text for request in (*requests, *others)]
    assert texts[:30] != texts[30:]


def test_what_cannot_change_a_greedy_reply_is_no_other_question(cached: Served) -> None:
    first = cached.ask(make_request("a greedy question", temperature=0, seed=5))
    for values in ({"seed": 9}, {"top_k": 3}, {"top_p": 0.3}, {"min_p": 0.4}, {}):
        again = cached.ask(make_request("a greedy question", temperature=0, **values))
        assert again.outcome == pb.CACHE_OUTCOME_HIT
        assert (again.text, again.token_ids) == (first.text, first.token_ids)
        assert again.seed == values.get("seed", 0)


def test_who_asks_how_and_how_urgently_is_no_other_question(cached: Served) -> None:
    request = make_request("an urgent question", seed=5)
    expected = cached.ask(request)
    same = [copy_of(request) for _ in range(4)]
    same[0].priority = pb.PRIORITY_HIGH
    same[1].model, same[1].model_version = "tiny", "1"
    same[2].conversation.CopyFrom(conversation("an urgent question"))
    for number, asked in enumerate(same):
        reply = cached.ask(asked, unary=number % 2 == 0, metadata=(("x-caller-id", f"c{number}"),))
        assert reply == expected
        assert reply.outcome == pb.CACHE_OUTCOME_HIT


def test_stop_sequences_in_any_order_are_one_question(uncached: Served, cached: Served) -> None:
    orders = (["is on", "s on", "on"], ["on", "is on", "s on"], ["s on", "on", "is on", "on"])
    requests = [make_request(seed=seed, stops=stops) for stops in orders for seed in range(12)]
    for request in requests:
        assert cached.ask(request) == uncached.ask(request)
    again = [cached.ask(request) for request in requests]
    assert {reply.outcome for reply in again} == {pb.CACHE_OUTCOME_HIT}
    assert {reply.stop_sequence for reply in again} & {"is on", "s on", "on"}


def test_what_is_refused_is_refused_the_same_way(uncached: Served, cached: Served) -> None:
    bad = [
        make_request(" "),
        make_request(temperature=3.0),
        make_request(max_tokens=100_000),
        make_request(logit_bias={100_000: 1.0}),
        make_request(top_p=float("nan")),
        make_request("x " * 5000),
        make_request(stops=[""]),
        pb.GenerateRequest(),
        pb.GenerateRequest(prompt="hi", model="nobody"),
        pb.GenerateRequest(prompt="hi", model_version="7"),
        with_mode(GREEDY, 9),
    ]
    for request in [*bad, *bad]:
        found = []
        for served in (uncached, cached):
            with pytest.raises(grpc.RpcError) as caught:
                served.ask(request)
            found.append((caught.value.code(), caught.value.details()))
        assert found[0] == found[1]
