"""Short ways to completion that a walk which always closes does not find."""

from __future__ import annotations

import pytest

from lstmserve_server.engine.constraints.parsing import GrammarVocabulary
from lstmserve_server.engine.constraints.searching import Search

VOCABULARY = GrammarVocabulary([*(bytes([byte]) for byte in range(256)), b""], 256)
LOOP = r"""
start: "for " NAME (", " NAME)* " in " value ": " value "\n"
value: NAME | "(" value ")" | "[" (value ", ")* value? "]" | /"[^"\n]*"/
NAME: /[a-z]+/
"""


def complete(grammar: str, text: str, most: int = 100) -> str | None:
    found = Search(VOCABULARY).complete(VOCABULARY.begin(grammar, text.encode()), most, 2000)
    return None if found is None else bytes(found).decode()


@pytest.mark.parametrize(
    ("text", "completion"),
    [
        ("for x", " in []: []\n"),
        ("for x in (([y", "])): []\n"),
        ('for x in "a)', '": []\n'),
        ("for x in y: z", "\n"),
    ],
)
def test_words_that_must_come_are_found_and_brackets_are_closed(text: str, completion: str) -> None:
    found = complete(LOOP, text)
    assert found is not None
    assert len(found) <= len(completion)
    whole = VOCABULARY.begin(LOOP, (text + found).encode())
    assert whole.is_accepting()


def test_the_same_text_is_always_completed_in_the_same_way() -> None:
    assert len({complete(LOOP, "for x") for _ in range(3)}) == 1


def test_a_way_that_is_longer_than_may_be_is_none() -> None:
    assert complete(LOOP, "for x", most=3) is None
    assert complete("start: /a{40}/", "a", most=38) is None
    assert complete("start: /a{40}/", "a", most=39) == "a" * 39


def test_a_search_gives_up() -> None:
    assert complete(r"start: /[ -~]{3000}/ | /x{3000}y/", "x") is None


def test_a_complete_text_needs_nothing() -> None:
    assert complete(LOOP, "for x in y: z\n") == ""
