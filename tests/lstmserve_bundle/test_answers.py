"""answers.json: what may stand in it, and what is said of what may not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_bundle import ManifestError
from lstmserve_bundle.answers import Answers, parse_answers, read_answers, write_answers

# long s and the sign for kelvin are equal to an s and a k where case does not count
LETTERS = "sSkKi \u017f\u212a\u0130."

GOOD: dict[str, Any] = {
    "schema_version": 1,
    "labels": {
        "cancel": {"title": "a cancellation", "answers": ["Write to {{email}}.", "Call us."]},
        "human": {"mentions": ["You gave {{email}}."], "outcome": "handover"},
        "other": {"outcome": "unsure"},
    },
    "placeholders": {"email": {"kind": "email", "default": "a@b.org", "spellings": ["[email]"]}},
    "fallback": {"answers": ["{{first_choice}} or {{second_choice}}?"], "min_confidence": 0.4},
    "forbidden": ["we promise"],
}


def changed(**values: object) -> str:
    return json.dumps({**GOOD, **values})


def test_they_are_written_as_they_are_read(tmp_path: Path) -> None:
    answers = parse_answers(json.dumps(GOOD), "here")
    write_answers(tmp_path / "answers.json", answers)
    assert read_answers(tmp_path / "answers.json") == answers
    assert json.loads((tmp_path / "answers.json").read_text()) == GOOD


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "here"),
        (changed(colour="red"), "colour"),
        (changed(labels={"a": {"answers": [""]}}), "labels.a.answers.0"),
        (changed(labels={"a": {"answers": ["Hi {{nobody}}"]}}), "labels.a.answers[0]: {{nobody}}"),
        (changed(labels={"a": {"answers": ["Hi {{email"]}}), "bracket"),
        (changed(labels={"a": {"answers": ["{{first_choice}}"]}}), "first_choice"),
        (
            changed(labels={"a": {"mentions": ["Hi {{nobody}}"]}}),
            "labels.a.mentions[0]: {{nobody}}",
        ),
        (
            changed(labels={"a": {"mentions": ["Hello"]}}),
            "labels.a.mentions[0]: has no {{placeholder",
        ),
        (changed(labels={"a": {"mentions": ["{{email}}\n"]}}), "labels.a.mentions.0"),
        (changed(labels={"a": {"mentions": ["{{email}}"] * 9}}), "labels.a.mentions"),
        (changed(fallback={"answers": ["hm"], "mentions": ["Hm."]}), "fallback.mentions[0]"),
        (changed(labels={"a": {"outcome": "maybe"}}), "labels.a.outcome"),
        (changed(fallback=None), "labels.other: is unsure"),
        (changed(fallback={"answers": []}), "fallback.answers"),
        (changed(fallback={"answers": ["hm"], "min_confidence": 1.5}), "min_confidence"),
        (changed(placeholders={"E-Mail": {}}), "placeholders.E-Mail"),
        (changed(placeholders={"email": {"default": "a\nb"}}), "placeholders.email.default"),
        (changed(forbidden=["x"]), "forbidden.0"),
        (changed(schema_version=2), "schema_version"),
    ],
)
def test_what_is_wrong_is_named(text: str, named: str) -> None:
    with pytest.raises(ManifestError, match="here") as error:
        parse_answers(text, "here")
    assert named in str(error.value)


def test_own_words_are_checked_where_one_author_writes_both() -> None:
    """A company's own answers may hold what the model's author forbids the network."""
    answers = Answers.model_validate_json(
        changed(labels={"a": {"answers": ["ok", "We promise it"]}})
    )
    with pytest.raises(ValueError, match=r"labels\.a: an answer holds the forbidden 'We promise'"):
        answers.check_own_words()
    mentioned = {"answers": ["hm"], "mentions": ["We promise {{email}}."]}
    answers = Answers.model_validate_json(changed(fallback=mentioned))
    with pytest.raises(ValueError, match="fallback: an answer holds the forbidden 'We promise'"):
        answers.check_own_words()


def test_answers_to_labels_that_there_are_not_are_refused() -> None:
    answers = Answers.model_validate(GOOD)
    answers.check_labels({"cancel", "human", "other", "more"})
    with pytest.raises(ManifestError, match="no 'human', 'other'; it has cancel"):
        answers.check_labels({"cancel"})
    with pytest.raises(ManifestError, match="no classifier"):
        answers.check_labels(set())


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        read_answers(tmp_path / "answers.json")


@given(
    st.lists(st.text("sSkKi.", min_size=2, max_size=4), max_size=3)
    | st.lists(st.text(LETTERS, min_size=2, max_size=4), max_size=3),
    st.text(LETTERS, max_size=12) | st.text("sSkKi .", max_size=12),
)
def test_the_first_forbidden_phrase_is_found_whatever_its_case(
    phrases: list[str], text: str
) -> None:
    answers = Answers.model_construct(forbidden=phrases)
    pattern = "|".join(map(re.escape, phrases))
    found = re.search(pattern, text, re.IGNORECASE) if phrases else None
    assert answers.find_forbidden(text) == (None if found is None else found[0])
