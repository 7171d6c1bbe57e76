from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lstmserve_bundle import Bundle, Turn

texts = st.text(max_size=30) | st.sampled_from(["<|user|>", "so <|agent|> said", "<|end|>"])
turns = st.lists(st.builds(Turn, st.sampled_from(["user", "agent"]), texts))


def test_a_prompt_is_a_conversation_of_one_user_turn(bundle: Bundle) -> None:
    tokenizer, template = bundle.tokenizer, bundle.template
    assert template.render_prompt("hello 你好") == [
        tokenizer.special_id("<|user|>"),
        *tokenizer.encode("hello 你好"),
        tokenizer.special_id("<|agent|>"),
    ]
    assert template.render_prompt("x") == template.render_conversation([Turn("user", "x")])


def test_replies_of_the_past_are_closed(bundle: Bundle) -> None:
    tokenizer, template = bundle.tokenizer, bundle.template
    user, agent = map(tokenizer.special_id, ("<|user|>", "<|agent|>"))
    past = [Turn("user", "hi"), Turn("agent", "hello"), Turn("user", "bye")]
    assert template.render_conversation(past) == [
        *(user, *tokenizer.encode("hi")),
        *(agent, *tokenizer.encode("hello"), template.end_id),
        *(user, *tokenizer.encode("bye")),
        agent,
    ]


@given(turns, turns)
def test_a_conversation_begins_with_what_came_before(
    bundle: Bundle, past: list[Turn], later: list[Turn]
) -> None:
    """States of prefixes can be kept because rendering only ever appends."""
    template = bundle.template
    before = template.render_conversation(past)[:-1]
    assert template.render_conversation([*past, *later])[: len(before)] == before


@given(turns)
def test_markers_come_from_turns_only(bundle: Bundle, past: list[Turn]) -> None:
    tokenizer = bundle.tokenizer
    markers = {tokenizer.special_id(token) for token in ("<|user|>", "<|agent|>")}
    rendered = bundle.template.render_conversation(past)
    assert sum(token_id in markers for token_id in rendered) == len(past) + 1


def test_turns_end_where_the_next_marker_stands(bundle: Bundle) -> None:
    template = bundle.template
    past = [Turn("user", "hi"), Turn("agent", "hello"), Turn("user", "bye <|agent|>")]
    lengths = [len(template.render_turn(turn)) for turn in past]
    assert template.reply_starts(template.render_conversation(past)) == [lengths[0], sum(lengths)]


@given(turns, turns, st.text(min_size=1))
def test_replies_start_where_they_started_before_the_conversation_went_on(
    bundle: Bundle, past: list[Turn], later: list[Turn], question: str
) -> None:
    template = bundle.template
    asked = [*past, Turn("user", question)]
    said = [*asked, Turn("agent", "answer"), *later]
    before, after = map(template.render_conversation, (asked, said))
    starts = template.reply_starts(before)
    assert starts[-1] == len(before) - 1
    assert template.reply_starts(after)[: len(starts)] == starts
    assert all(after[:start] == before[:start] for start in starts)


def test_labels_are_named_by_token_id(bundle: Bundle) -> None:
    token_id = bundle.tokenizer.special_id("<|intent:track_order|>")
    assert bundle.template.label_of_id[token_id] == "intent:track_order"
