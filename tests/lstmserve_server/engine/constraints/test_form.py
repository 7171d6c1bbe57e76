"""Forms of replies that go on with a text."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.engine.constraints import automaton
from lstmserve_server.engine.constraints.alphabet import read_token, to_symbols
from lstmserve_server.engine.constraints.automaton import NEVER, OUTSIDE
from lstmserve_server.engine.constraints.byte_automaton import of_regex
from lstmserve_server.engine.constraints.form import RegularForm
from lstmserve_server.engine.constraints.messages import RefusedFormError
from lstmserve_server.engine.constraints.token_automaton import Vocabulary, of_tokens
from support.patterns import patterns, texts

# without most bytes: some states are left by no token
TOKENS = tuple(text.encode() for text in ("ab", "b", "日", "é", "x", "\n", ""))
CLASSES = {"vowel": "aeiouä", "rest": "bcd日"}


def make_form(pattern: str, classes: dict[str, str] | None = None) -> RegularForm:
    tokens, symbols = TOKENS, None
    if classes is not None:
        pattern, symbols = to_symbols(pattern, classes)
        tokens = tuple(read_token(token, symbols) for token in tokens)
    form = of_regex(pattern)
    table = form.to_text_table() if symbols is None else form.to_text_table(symbols)
    return RegularForm(b"", of_tokens(form, Vocabulary(tokens, len(tokens) - 1)), table)


def step_by_step(form: RegularForm, text: str) -> tuple[int | None, int]:
    """The state after a text and how much of it fits, looked at after each character."""
    state, distances = form.text.start, array("i", form.taught.distances)
    for number, character in enumerate(text):
        state = form.text.walk(state, character)
        if state == OUTSIDE or distances[state] == NEVER:
            return None, number
    return state, len(text)


@given(pattern=patterns, text=texts)
def test_a_text_fits_as_far_as_each_of_its_characters_does(pattern: str, text: str) -> None:
    try:
        form = make_form(pattern)
    except RefusedFormError:  # no tokens make such a text
        return
    found, fits = form.after(text)
    assert (found.start, fits) == step_by_step(form, text)


@given(text=st.text("aeäbcd日?", max_size=9))
def test_so_do_those_of_classes_of_characters(text: str) -> None:
    form = make_form("({{vowel}}|{{rest}}{{vowel}})*{{rest}}*", CLASSES)
    found, fits = form.after(text)
    assert (found.start, fits) == step_by_step(form, text)


def test_no_character_of_a_long_text_unpacks_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read on the event loop, and a table may have a hundred thousand states."""
    unpacked = list[str]()
    unpack = automaton._numbers

    def count(kind: str, data: bytes) -> array[int]:
        unpacked.append(kind)
        return unpack(kind, data)

    monkeypatch.setattr(automaton, "_numbers", count)
    assert make_form("[abx]*").after("ab" * 4096)[1] == 8192
    assert len(unpacked) == 2
