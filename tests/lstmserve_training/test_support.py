from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_training import support
from lstmserve_training.errors import DataError, MissingInputError
from lstmserve_training.roughen import roughen
from lstmserve_training.support import Turn
from support.growth import HOSTILE, MOST, measure_growth
from support.tiny_checkpoint import FIXED_REPLIES, VARIED_REPLIES


def test_a_reply_keeps_its_first_sentences_and_loses_its_placeholders() -> None:
    reply = (
        "I understand. Go to our {{Website URL}} now. Please:\n\n"
        "1. **Open** the {{Orders}} page.\n2. Call {{Customer Support Phone Number}} today.\n"
        "- no sentence\nThat is all!"
    )
    assert support.shorten_reply(reply) == (
        "I understand. Go to our website now. Open the 'Orders' page. That is all!"
    )


def test_a_long_reply_ends_with_a_whole_sentence() -> None:
    reply = " ".join(f"This is sentence {word} of many." for word in "abcdefghijklmnop")
    shortened = support.shorten_reply(reply)
    assert len(shortened.split()) <= support.MAX_REPLY_WORDS
    assert shortened.endswith("of many.")


@given(st.lists(st.sampled_from(["{", "{{", "}", "}}", "our ", "site", "x ", "1 ", "."])))
def test_placeholders_become_what_they_became(pieces: list[str]) -> None:
    """With the patterns that the text of support-en, version 2, was made by."""
    line = "".join(pieces)
    place = re.compile(
        r"\b(?:(?:our|the|your|my) )?\{\{\s*(?:website|company|store|app|site)[^}]*\}\}",
        re.IGNORECASE,
    )
    quoted = re.sub(r"\{\{([^}]*)\}\}", lambda found: f"'{found[1].strip()}'", line)
    assert support.PLACEHOLDER.sub(support.quote_placeholder, line) == quoted
    assert support.replace_store(line) == place.sub("our website", line)


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_reply_is_shortened_in_time_that_grows_with_it(piece: str) -> None:
    assert measure_growth(lambda text: support.shorten_reply(f"{text}."), piece) < MOST


@given(st.text(min_size=1), st.integers())
def test_roughening_is_repeatable_and_one_line(text: str, seed: int) -> None:
    once = roughen(text, random.Random(seed))
    assert once == roughen(text, random.Random(seed))
    assert "\n" not in once


def test_a_mask_is_never_mistyped() -> None:
    rng = random.Random(1)
    text = "where is order [number] please"
    roughened = [roughen(text, rng).lower() for _ in range(500)]
    assert all(("[" in line) == ("[number]" in line) for line in roughened)


def test_copies_of_a_chat_are_held_out_together() -> None:
    for number in range(200):
        one = (Turn("user", f"Hello {number}"), Turn("agent", "yes"))
        other = (Turn("user", f"hello {number}"), Turn("agent", "another answer"))
        assert support.is_held_out(one) == support.is_held_out(other)


def test_answers_begin_with_their_own_intent_and_say_a_reply_of_it(data: Path) -> None:
    questions = support.read_questions(data, support.QUESTIONS)
    chats = list(support.answer_questions(questions, data, 0.3, random.Random(1)))
    assert len(chats) == len(questions)
    for question, chat in zip(questions, chats, strict=True):
        assert chat[-1].intent == question.intent
        replies = {FIXED_REPLIES[question.intent], *VARIED_REPLIES[question.intent]}
        assert chat[-1].text in replies
        assert not any(turn.intent for turn in chat[:-1])


def test_unseen_questions_are_not_trained_on() -> None:
    unseen = support.read_unseen_questions({"track_order", "get_refund"})
    phrasings = support.read_phrasings({"track_order", "get_refund"})
    assert {question.intent for question in unseen} == {"track_order", "get_refund"}
    assert {question.intent for question in phrasings} == {"track_order", "get_refund"}
    assert not {q.text.lower() for q in unseen} & {q.text.lower() for q in phrasings}


def test_a_missing_data_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"conversations\.jsonl\.gz is missing"):
        support.read_chats(tmp_path)


def test_a_data_set_without_a_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "questions.csv").write_text("utterance,label\nhello,x\n")
    with pytest.raises(DataError, match=r"questions\.csv: no column intent"):
        support.read_questions(tmp_path, "questions.csv")
