"""Gaps are filled, and what cannot be filled takes its sentence away, however the text comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_bundle import Answers, Turn
from lstmserve_server.replies import fill_in
from lstmserve_server.replies.fill_in import FillIn, Values

ANSWERS = Answers.model_validate(
    {
        "placeholders": {
            "order_number": {"kind": "order_number", "spellings": ["[number]"]},
            "email": {"kind": "email", "spellings": ["[email]"]},
            "hotline": {"default": "0800 100"},
            "name": {"kind": "name"},
        },
        "forbidden": ["I have cancelled", "within two days"],
    }
)
SAID = ("my order is 48213", "ok", "mail jo@x.org")


def turns(*texts: str) -> list[Turn]:
    return [Turn("user", text) for text in texts]


def fill(text: str, *said: str, is_vetted: bool = False, **variables: str) -> str:
    filling = FillIn(Values(ANSWERS, variables, turns(*said)), is_vetted=is_vetted)
    return filling.push(text, is_last=True)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("Your order {{order_number}} is on its way.", "Your order 48213 is on its way."),
        ("Your order {{Order Number}}, yes.", "Your order 48213, yes."),
        ("Your order [number] and {{ email }}.", "Your order 48213 and jo@x.org."),
        ("Call {{hotline}}. Hello {{name}}! Bye.", "Call 0800 100. Bye."),
        ("Hello {{name}}! Bye.", "Bye."),
        ("Bye. Hello {{name}}", "Bye."),
        ("Hello {{nobody knows}}!", ""),
        ("Dear Mr. {{name}}, hello. Bye.", "Bye."),
        ("1. Log in.\n2. Enter {{name}}.\n3. Go on.", "1. Log in.\n3. Go on."),
        ("A.\n\nB {{name}}\nC", "A.\nC"),
        ("I have cancelled it. Call us.", "Call us."),
        ("i HAVE cancelled it", ""),
        ("Cut in {{order_num", ""),
        ("Fine. Cut in {{order_num", "Fine."),
        ("Odd }} bracket. Fine.", "Fine."),
        ("It costs 3.50 e.g. today. (See {{name}}.) Bye.", "It costs 3.50 e.g. today. Bye."),
        ("  Two  spaces. ", "Two  spaces. "),
        ("The inst. {{name}} is. Bye.", "The inst. Bye."),
        ("It was approx. {{name}}. Bye.", "Bye."),
        ("Bye.\n  12. Hello {{name}}. Yes.", "Bye. Yes."),
    ],
)
def test_sentences(text: str, filled: str) -> None:
    assert fill(text, *SAID) == filled


def test_a_chat_is_searched_once_for_each_placeholder(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[str] = []
    monkeypatch.setattr(fill_in, "find_fact", lambda kind, _: searched.append(kind))
    assert fill("{{email}}! {{order_number}}! {{email}}! Bye.", *SAID) == "Bye."
    assert searched == ["email", "order_number"]


def test_what_is_found_beforehand_fills_the_same_and_is_not_looked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = Values(ANSWERS, {}, turns(*SAID)).read()
    monkeypatch.delattr(fill_in, "find_fact")
    text = "Your order {{order_number}}, {{email}}. Hello {{name}}. Call {{hotline}}."
    filled = FillIn(values, is_vetted=True).push(text, is_last=True)
    assert filled == "Your order 48213, jo@x.org. Call 0800 100."


def test_the_request_goes_before_what_was_typed_and_that_before_the_default() -> None:
    assert fill("{{order_number}}", *SAID, order_number="7") == "7"
    assert fill("{{hotline}}", hotline="112") == "112"
    assert fill("{{order_number}} {{email}}", "order 11111", "22222", "a@b.de") == "22222 a@b.de"


def test_values_are_not_read_as_gaps() -> None:
    assert fill("{{name}}.", name="{{email}}") == "{{email}}."


def test_own_answers_are_not_searched_for_what_models_write() -> None:
    text = "I have cancelled it, see [number]."
    assert fill(text, *SAID, is_vetted=True) == text


PIECES = st.sampled_from(
    [
        *("Hello", " ", "\n", ". ", "! ", '.") ', "{{", "}}", "{{name}}", "{{hotline}}", "[num"),
        *("ber]", "1.", "e.g. ", "I have cancelled", "\n\n", "  ", "{{order_", "number}}", "…"),
    ]
)


@given(st.lists(PIECES, max_size=12).map("".join), st.data())
def test_the_text_is_the_same_in_whatever_pieces_it_comes(text: str, data: st.DataObject) -> None:
    whole = fill(text, *SAID)
    filling = FillIn(Values(ANSWERS, {}, turns(*SAID)), is_vetted=False)
    found, rest = "", text
    while rest:
        count = data.draw(st.integers(1, len(rest)))
        found += filling.push(rest[:count])
        assert whole.startswith(found)  # nothing is taken back
        rest = rest[count:]
    assert found + filling.push("", is_last=True) == whole
    assert "{{name}}" not in whole


def test_no_more_than_a_sentence_is_held_back() -> None:
    filling = FillIn(Values(ANSWERS, {}, turns(*SAID)), is_vetted=False)
    assert filling.push("One. Two") == "One."
    assert filling.push(" and {{order_number}}! Thr") == " Two and 48213!"
    assert filling.push("ee\n") == " Three"
    assert filling.push("", is_last=True) == "\n"


# --- what was said before -----------------------------------------------------------------------

MENTIONS = (
    "Your order is {{order_number}}.",
    "We write to {{email}}, {{name}}.",
    "See {{hotline}}.",
)


def end(text: str, *said: str, mentions: tuple[str, ...] = MENTIONS, **variables: str) -> str:
    """A reply that has ended, as its caller gets it."""
    filling = FillIn(Values(ANSWERS, variables, turns(*said), mentions), is_vetted=False)
    return filling.push(text, is_last=True) + filling.mention()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("All right.", "All right. Your order is 48213. See 0800 100."),
        ("All right!\n", "All right!\nYour order is 48213. See 0800 100."),
        ("(All right.)", "(All right.) Your order is 48213. See 0800 100."),
        ("It is {{order_number}}. Bye.", "It is 48213. Bye. See 0800 100."),
        ("It is 48213. Call 0800 100.", "It is 48213. Call 0800 100."),  # the model's own words
        ("It is 482134.", "It is 482134. Your order is 48213. See 0800 100."),
        ("Cut off in the", "Cut off in the"),
        ("I have cancelled it.", ""),
        ("", ""),
    ],
)
def test_what_is_known_and_was_not_said_ends_a_reply(text: str, told: str) -> None:
    assert end(text, "order 48213, mail jo@x.org") == told


def test_a_mention_needs_all_its_values() -> None:
    assert end("Fine.", "mail jo@x.org", name="Jo") == (
        "Fine. We write to jo@x.org, Jo. See 0800 100."
    )
    assert end("Write to jo@x.org.", "jo@x.org", name="Jo") == (
        "Write to jo@x.org. We write to jo@x.org, Jo. See 0800 100."  # the name is new
    )
    assert end("Fine.", mentions=("Your order is {{order_number}}.",)) == "Fine."


def test_a_mention_is_not_searched_for_what_is_forbidden_to_models() -> None:
    text = end("Fine.", "order 48213", mentions=("{{order_number}} comes within two days.",))
    assert text == "Fine. 48213 comes within two days."


def test_the_fallback_answer_has_its_own_mentions() -> None:
    fallback = {"answers": ["Pardon?"], "mentions": ["Your order is {{order_number}}."]}
    answers = Answers.model_validate({**ANSWERS.model_dump(), "fallback": fallback})
    filling = FillIn(
        Values(answers, {}, turns("order 48213"), ("See {{hotline}}.",)), is_vetted=False
    )
    assert filling.push("I have cancelled it.", is_last=True) == ""
    assert filling.fall_back() == "Pardon? Your order is 48213."
