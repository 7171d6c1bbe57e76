"""A process is told each form once, and forgets those that no reply keeps."""

from __future__ import annotations

from lstmserve_server.engine.messages import Forget, Teach, TeachTokens
from lstmserve_server.engine.teaching import Teaching
from support.engines import LoadedModel
from support.forms import grammar_form, regex_form


def tokens() -> tuple[bytes, ...]:
    """What nobody needs who keeps no grammar."""
    raise AssertionError


def test_a_form_is_taught_once_in_the_life_of_a_process(tiny: LoadedModel) -> None:
    form, teaching = regex_form(tiny.bundle, "a+"), Teaching()
    assert teaching.teach(form, tokens) == [Teach(form.digest, form.taught)]
    assert teaching.teach(form, tokens) == []
    teaching.clear()
    assert teaching.teach(form, tokens) == [Teach(form.digest, form.taught)]


def test_what_tokens_stand_for_is_taught_before_the_first_grammar(tiny: LoadedModel) -> None:
    forms = [grammar_form(tiny.bundle, f'start: "{letter}"') for letter in "ab"]
    teaching, tokens = Teaching(), tiny.bundle.tokenizer.all_bytes
    teaching.teach(regex_form(tiny.bundle, "a+"), tokens)
    taught = [Teach(form.digest, form.taught) for form in forms]
    assert teaching.teach(forms[0], tokens) == [TeachTokens(tokens()), taught[0]]
    assert teaching.teach(forms[1], tokens) == [taught[1]]
    teaching.clear()
    assert teaching.teach(forms[1], tokens) == [TeachTokens(tokens()), taught[1]]


def test_those_that_were_used_longest_ago_are_forgotten(tiny: LoadedModel) -> None:
    forms = [regex_form(tiny.bundle, f"{letter}+") for letter in "abcd"]
    teaching = Teaching(max_bytes=2 * forms[0].taught.taught_bytes)
    for form in (*forms, forms[1]):
        teaching.teach(form, tokens)
    in_use = {forms[2].digest}
    assert teaching.forget(in_use) == [Forget(forms[0].digest), Forget(forms[3].digest)]
    assert teaching.forget(in_use) == []
    assert teaching.teach(forms[1], tokens) == []
    assert teaching.teach(forms[0], tokens) != []


def test_what_is_in_use_stays_however_much_it_is(tiny: LoadedModel) -> None:
    forms = [regex_form(tiny.bundle, f"{letter}+") for letter in "ab"]
    teaching = Teaching(max_bytes=1)
    for form in forms:
        teaching.teach(form, tokens)
    assert teaching.forget({form.digest for form in forms}) == []
