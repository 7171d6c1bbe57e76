"""Which pool a reply is from: by label, weight, place in the conversation, and what was said."""

from __future__ import annotations

import random

import pytest

from lstmserve_training.data.augmentation import Augmenter
from lstmserve_training.data.examples import AGENT, USER, Example, Turn
from lstmserve_training.data.pools import ReplyPools, give_reply
from lstmserve_training.errors import DataError
from lstmserve_training.recipe.sections import Augmentation, Source


def asked(*texts: str, label: str = "x") -> Example:
    """A conversation that waits for a reply; users and agents take turns."""
    turns = [Turn((USER, AGENT)[at % 2], text) for at, text in enumerate(texts)]
    return Example((*turns, Turn(AGENT, "", label)), "chats.jsonl, line 3")


def pools(*parts: tuple[dict[str, object], list[str]]) -> ReplyPools:
    found = ReplyPools()
    for keys, replies in parts:
        source = Source.model_validate({"name": "n", "files": ["f"], "use": "reply-pool", **keys})
        rows = [Example((Turn(USER, ""), Turn(AGENT, reply, "x"))) for reply in replies]
        found.add(source, rows)
    return found


def test_pools_are_drawn_from_by_weight() -> None:
    rng = random.Random(1)
    found = pools(({"weight": 3.0}, ["often", "often"]), ({"weight": 1.0}, ["rare", "rarer"]))
    drawn = [found.draw(asked("q"), rng) for _ in range(2000)]
    assert 0.70 < drawn.count("often") / 2000 < 0.80
    assert set(drawn) == {"often", "rare", "rarer"}


def test_a_pool_answers_the_turns_that_it_is_for() -> None:
    rng = random.Random(1)
    found = pools(({"place": "first"}, ["first"]), ({"place": "later"}, ["later"]))
    assert found.draw(asked("q"), rng) == "first"
    assert found.draw(asked("q", "which one?", "the blue one"), rng) == "later"


def test_a_pool_may_depend_on_what_the_user_has_said() -> None:
    rng = random.Random(1)
    found = pools(({"when": r"\d{4}"}, ["number"]), ({"unless": r"\d{4}"}, ["none"]))
    assert found.draw(asked("my order 4821", "and?", "yes"), rng) == "number"
    assert (
        found.draw(asked("my order", "4821?", "yes"), rng) == "none"
    )  # the agent's does not count


def test_a_prompt_that_no_pool_answers_is_named() -> None:
    found = pools(({"place": "later"}, ["later"]))
    found.check([asked("q", "a", "q")])
    with pytest.raises(DataError, match=r"line 3: no reply, and no source .* the label 'x'"):
        found.check([asked("q")])


def test_only_what_users_say_is_varied_and_every_turn_of_theirs() -> None:
    example = give_reply(
        asked("where is it", "Which One?", "that one"), pools(({}, ["Here."])), random.Random(1)
    )
    augmenter = Augmenter(Augmentation(greetings=["hi"], earlier_exchange=1.0), ReplyPools())
    varied = [augmenter.vary([example], random.Random(seed))[0] for seed in range(40)]
    assert {v.turns[0].text for v in varied} >= {"where is it", "hi where is it"}
    assert {v.turns[2].text for v in varied} >= {"that one", "hi, that one"}
    assert {(v.turns[1].text, v.turns[3].text, len(v.turns)) for v in varied} == {
        ("Which One?", "Here.", 4)
    }


def test_a_reply_after_an_earlier_exchange_is_to_both() -> None:
    """It is one to a later turn, and knows the number that was given before."""
    found = pools(
        ({"place": "first"}, ["first"]),
        ({"place": "later", "unless": r"\d{4}"}, ["later"]),
        ({"place": "later", "when": r"\d{4}"}, ["later, 4821"]),
    )
    augmenter = Augmenter(Augmentation(earlier_exchange=1.0), found)
    examples = [asked("my order 4821"), asked("where is it")]
    said: dict[str, set[str]] = {"my order 4821": set(), "where is it": set()}
    for seed in range(40):
        for varied in augmenter.vary(examples, random.Random(seed)):
            before, _, question, reply = varied.turns
            said[question.text].add(f"{before.text}: {reply.text}")
    assert said == {
        "my order 4821": {"my order 4821: later, 4821", "where is it: later, 4821"},
        "where is it": {"my order 4821: later, 4821", "where is it: later"},
    }
