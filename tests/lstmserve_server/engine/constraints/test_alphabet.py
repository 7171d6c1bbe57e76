"""Forms of classes of characters allow what the same forms of plain classes do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lstmserve_server.engine.constraints.alphabet import read_token, to_symbols
from lstmserve_server.engine.constraints.automaton import OUTSIDE
from lstmserve_server.engine.constraints.builder import ProcessBuilder
from lstmserve_server.engine.constraints.form import RegularForm
from lstmserve_server.engine.constraints.messages import RefusedFormError
from lstmserve_server.engine.constraints.spec import FormSpec
from support.engines import LoadedModel
from support.forms import regex_form, vocabulary_of

CLASSES = (("vowel", "aeiou"), ("word", "abcdefgh"))
PATTERN = "{{vowel}}(?:{{word}}{{vowel}}|b+|x){2}您?"
PLAIN = "[aeiou](?:[abcdefgh][aeiou]|b+|x){2}您?"
TEXTS = ("ahexx", "abb", "ab", "axx您", "axb", "oboba", "ayx", "您", "", "abbbb", "ahahi")


@pytest.fixture(scope="module")
def builder() -> Iterator[ProcessBuilder]:
    found = ProcessBuilder()
    yield found
    found.close()


def is_complete(form: RegularForm, text: str) -> bool:
    return form.text.is_complete(form.text.walk(form.text.start, text))


def test_texts_and_tokens_are_those_of_plain_classes(
    builder: ProcessBuilder, tiny: LoadedModel
) -> None:
    form = builder.build(FormSpec(PATTERN, classes=CLASSES), tiny.bundle)
    plain = regex_form(tiny.bundle, PLAIN)
    assert [is_complete(form, text) for text in TEXTS] == [
        is_complete(plain, text) for text in TEXTS
    ]
    assert form.taught.shortest == plain.taught.shortest
    tokens = vocabulary_of(tiny.bundle).tokens
    for before in ("", "a", "ah", "ax", "axx", "axb"):
        states = [each.text.walk(each.text.start, before) for each in (form, plain)]
        for number, token in enumerate(tokens):
            if token.isascii():  # one of a part of a character is allowed by the plain one alone
                found = form.taught.walk([number], states[0])
                assert (found is None) == (plain.taught.walk([number], states[1]) is None)


def test_a_character_outside_all_classes_fits_nowhere(
    builder: ProcessBuilder, tiny: LoadedModel
) -> None:
    form = builder.build(FormSpec("{{vowel}}+", classes=CLASSES[:1]), tiny.bundle)
    for text in ("b", "\x80", "\0", "aé"):
        assert form.text.walk(form.text.start, text) == OUTSIDE


def test_a_reply_may_begin_behind_a_text(builder: ProcessBuilder, tiny: LoadedModel) -> None:
    form = builder.build(FormSpec("abc{3}d?"), tiny.bundle)
    behind, count = form.after("abc")
    assert count == 3
    assert behind.shortest < form.shortest
    assert behind.digest == form.digest
    assert form.after("abx")[1] == 2


def test_characters_of_the_same_classes_share_a_symbol() -> None:
    pattern, symbols = to_symbols("{{vowel}}{{word}}x", dict(CLASSES))
    assert symbols["b"] == symbols["h"] != symbols["a"] == symbols["e"] != symbols["o"]
    assert symbols["i"] == symbols["u"]
    assert len(set(symbols.values())) == 4
    assert "x" not in pattern.replace(r"\x", "")
    assert read_token(b"ab", symbols) == (symbols["a"] + symbols["b"]).encode()
    assert read_token(b"ay", symbols) == b""
    assert read_token("您".encode()[:2], symbols) == b""


def test_too_many_kinds_of_characters_are_refused() -> None:
    """Of eleven classes every set of which has a character of its own."""
    kinds = range(1, 1 << 11)
    classes = {
        f"c{bit}": "".join(chr(0x4E00 + kind) for kind in kinds if kind >> bit & 1)
        for bit in range(11)
    }
    with pytest.raises(RefusedFormError, match="2047 kinds of characters"):
        to_symbols("".join(f"{{{{{name}}}}}" for name in classes), classes)
