"""A process is told each form once, and forgets those that no reply keeps."""

from __future__ import annotations

from lstmserve_server.engine.messages import Forget
from lstmserve_server.engine.teaching import Teaching
from support.engines import LoadedModel
from support.forms import regex_form


def test_a_form_is_taught_once_in_the_life_of_a_process(tiny: LoadedModel) -> None:
    form, teaching = regex_form(tiny.bundle, "a+"), Teaching()
    told = teaching.teach(form)
    assert told is not None
    assert (told.digest, told.automaton) == (form.digest, form.automaton)
    assert teaching.teach(form) is None
    teaching.clear()
    assert teaching.teach(form) is not None


def test_those_that_were_used_longest_ago_are_forgotten(tiny: LoadedModel) -> None:
    forms = [regex_form(tiny.bundle, f"{letter}+") for letter in "abcd"]
    teaching = Teaching(max_bytes=2 * forms[0].automaton.taught_bytes)
    for form in (*forms, forms[1]):
        teaching.teach(form)
    in_use = {forms[2].digest}
    assert teaching.forget(in_use) == [Forget(forms[0].digest), Forget(forms[3].digest)]
    assert teaching.forget(in_use) == []
    assert teaching.teach(forms[1]) is None
    assert teaching.teach(forms[0]) is not None


def test_what_is_in_use_stays_however_much_it_is(tiny: LoadedModel) -> None:
    forms = [regex_form(tiny.bundle, f"{letter}+") for letter in "ab"]
    teaching = Teaching(max_bytes=1)
    for form in forms:
        teaching.teach(form)
    assert teaching.forget({form.digest for form in forms}) == []
