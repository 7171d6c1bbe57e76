"""What is sent about which server is warm, and whom a client of several asks."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve.v1 import generation_service_pb2 as pb
from lstmserve_client import AsyncClient, Client, Turn, UnavailableError
from lstmserve_client.affinity import METADATA_KEY, affinity_key, rank_targets
from lstmserve_client.testing import FakeService

TARGETS = ["a:1", "b:1", "c:1", "d:1"]
TEXTS = [f"question {number}" for number in range(200)]


def sent_by(service: FakeService) -> str | None:
    return service.requests[-1].metadata.get(METADATA_KEY)


def key_of(prompt: Any, **options: Any) -> str | None:  # noqa: ANN401 - of reply()
    service = FakeService()
    service.client(affinity=True).reply(prompt, **options)
    return sent_by(service)


def test_a_conversation_has_one_key_from_its_first_question_on() -> None:
    service = FakeService()
    chat = service.client(affinity=True).conversation()
    for text in ("hi", "and then?", "thanks"):
        chat.reply(text)
    assert {each.metadata[METADATA_KEY] for each in service.requests} == {key_of("hi")}


def test_what_makes_another_server_warm_makes_another_key() -> None:
    keys = [
        key_of("hi"),
        key_of("hello"),
        key_of("hi", model="fake"),
        key_of("hi", model="fake", model_version=1),
        affinity_key(True, pb.GenerateRequest(prompt="hi", model="fake1")),
        key_of([Turn("user", "hello!"), Turn("agent", "x"), Turn("user", "hi")]),
    ]
    assert len({*keys}) == len(keys)


def test_what_changes_nothing_about_the_prompts_state_changes_no_key() -> None:
    assert key_of("hi", temperature=0.5, seed=7, max_tokens=3, cache_mode="bypass") == key_of("hi")


@pytest.mark.parametrize("text", ["where is my order?", "客户 7", "customer-7", "\udcff"])
def test_no_text_is_sent_only_a_digest(text: str) -> None:
    key = key_of("hi", affinity=text)
    assert key is not None
    assert len(key) == 16
    assert set(key) <= set("0123456789abcdef")


def test_callers_may_say_by_themselves_what_belongs_together_or_turn_it_off() -> None:
    service = FakeService()
    client = service.client(affinity="tenant 1")
    client.reply("hi")
    tenants = sent_by(service)
    client.reply("another")
    assert sent_by(service) == tenants
    client.reply("hi", affinity="tenant 2")
    assert sent_by(service) not in {tenants, None}
    client.reply("hi", affinity=True)
    assert sent_by(service) == key_of("hi")
    client.reply("hi", affinity=False)
    assert sent_by(service) is None
    chat = client.conversation(affinity="chat 3")
    chat.reply("hi")
    assert sent_by(service) == key_of("", affinity="chat 3")
    service.client().reply("hi")
    assert sent_by(service) is None


def test_every_attempt_of_a_stream_has_the_key() -> None:
    service = FakeService()
    service.break_next(after_tokens=1)
    assert service.client(affinity=True).generate("hi").reply().text == "You said: hi"
    assert [each.metadata[METADATA_KEY] for each in service.requests] == [key_of("hi")] * 2


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (7, TypeError, "must be text, or True or False, not int"),
        ("", ValueError, "must not be empty; False turns it off"),
    ],
)
def test_what_can_be_no_affinity_is_refused(
    value: Any,  # noqa: ANN401 - also what it cannot be
    error: type[Exception],
    words: str,
) -> None:
    for refused in (
        lambda: Client(affinity=value),
        lambda: Client().reply("hi", affinity=value),
        lambda: Client().conversation(affinity=value),
        lambda: Client().reply_many(["hi"], affinity=value),
    ):
        with pytest.raises(error, match=f"^affinity: {words}"):
            refused()
    with pytest.raises(ValueError, match="affinity instead"):
        Client(metadata={"X-Affinity": "a"})


def test_clients_that_list_the_same_targets_agree_in_any_order() -> None:
    for key in TEXTS:
        ranked = [TARGETS[number] for number in rank_targets(key, TARGETS)]
        others = TARGETS[::-1]
        assert ranked == [others[number] for number in rank_targets(key, others)]


def test_a_target_that_goes_moves_its_own_keys_alone() -> None:
    left = TARGETS[1:]
    for key in TEXTS:
        ranked = [TARGETS[number] for number in rank_targets(key, TARGETS)]
        kept = [target for target in ranked if target != TARGETS[0]]
        assert kept == [left[number] for number in rank_targets(key, left)]


def test_targets_get_alike_many_keys_also_one_that_is_listed_twice() -> None:
    for targets in (TARGETS, ["a:1", "a:1"]):
        counts = Counter(rank_targets(f"{number}", targets)[0] for number in range(4000))
        mean = 4000 / len(targets)
        assert all(abs(counts[number] - mean) < mean / 5 for number in range(len(targets)))


@given(st.text(max_size=5), st.lists(st.sampled_from(TARGETS), min_size=1))
def test_every_target_is_ranked_once(key: str, targets: list[str]) -> None:
    assert sorted(rank_targets(key, targets)) == [*range(len(targets))]


async def test_both_clients_ask_the_same_server_for_the_same_question() -> None:
    service = FakeService()
    client = service.client(TARGETS, affinity=True)
    async_client: AsyncClient = service.async_client(TARGETS, affinity=True)
    found = set()
    for text in TEXTS[:20]:
        client.reply(text)
        client.generate(text).reply()
        await async_client.reply(text)
        await async_client.generate(text).reply()
        [target] = {each.target for each in service.requests[-4:]}
        found.add(target)
    assert found == {*range(len(TARGETS))}


def test_without_it_they_take_turns() -> None:
    service = FakeService()
    client = service.client(TARGETS)
    for _ in TARGETS * 2:
        client.reply("hi")
    assert [each.target for each in service.requests] == [*range(len(TARGETS))] * 2


def test_a_call_fails_over_to_the_next_in_rank_and_comes_back() -> None:
    service = FakeService()
    client = service.client(TARGETS, affinity=True)
    client.reply("hi")
    first = service.requests[-1].target
    key = service.requests[-1].metadata[METADATA_KEY]
    service.fail_next(UnavailableError("gone"))
    client.reply("hi")
    assert [each.target for each in service.requests[1:]] == [*rank_targets(key, TARGETS)[:2]]
    service.clock.wait(60.0, threading.Event())
    client.reply("hi")
    assert service.requests[-1].target == first


def test_open_streams_of_one_question_are_spread_within_the_bound() -> None:
    service = FakeService({"hi": "one two three four five six"})
    client = service.client(TARGETS, affinity=True)
    streams = [client.generate("hi") for _ in range(16)]
    for stream in streams:
        next(stream)
    counts = Counter(each.target for each in service.requests)
    assert max(counts.values()) == 6  # half as many again as the mean
    for stream in streams:
        stream.close()
    before = len(service.requests)
    for _ in range(5):
        client.reply("hi")
    [target] = {each.target for each in service.requests[before:]}
    assert target == service.requests[0].target
