"""Automata accept what Python's ``re`` matches, and allow the tokens that can still lead there."""

from __future__ import annotations

import random
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmserve_server.engine.constraints import byte_automaton, token_automaton
from lstmserve_server.engine.constraints.automaton import Automaton
from lstmserve_server.engine.constraints.byte_automaton import (
    ByteAutomaton,
    of_choices,
    of_regex,
)
from lstmserve_server.engine.constraints.messages import RefusedFormError
from lstmserve_server.engine.constraints.token_automaton import Vocabulary, of_tokens
from support.patterns import LETTERS, matches, patterns, texts
from support.reference_form import ReferenceForm

BYTES = tuple(bytes([byte]) for byte in range(256))
WORDS = ("ab", "ba", "abc", "aé", "日b", "👍👍", "a" * 5, "\n", ".x")
# bytes, words, parts of characters, and a special token and one that is there twice
TOKENS = (*BYTES, *(word.encode() for word in WORDS), "日".encode()[:2], b"", b"ab", b"")
END = len(TOKENS) - 1
ALL = Vocabulary(TOKENS, END)


def accepts(form: ByteAutomaton, text: str) -> bool:
    table = form.to_text_table()
    return table.is_complete(table.walk(table.start, text))


def allowed_by(automaton: Automaton, state: int) -> set[int]:
    """What the bits say."""
    width = len(automaton.token_classes) // 2 // 8 + (len(TOKENS) % 8 > 0)
    row = array("i", automaton.mask_ids)[state] * width
    bits = automaton.masks[row : row + width]
    return {n for n in range(len(TOKENS)) if bits[n // 8] >> n % 8 & 1}


@given(pattern=patterns, text=texts)
@settings(max_examples=400)
def test_it_accepts_what_re_matches(pattern: str, text: str) -> None:
    assert accepts(of_regex(pattern), text) == matches(pattern, text)


@given(data=st.data(), pattern=patterns)
@settings(max_examples=200)
def test_it_accepts_every_text_that_is_made_of_it(data: st.DataObject, pattern: str) -> None:
    text = data.draw(st.from_regex(pattern, fullmatch=True, alphabet=LETTERS + ".x"))
    assert accepts(of_regex(pattern), text)


@given(choices=st.lists(texts.filter(bool), min_size=1, max_size=6), text=texts)
def test_choices_are_accepted_and_nothing_else(choices: list[str], text: str) -> None:
    form = of_choices(choices)
    assert accepts(form, text) == (text in choices)
    assert all(accepts(form, choice) for choice in choices)


@given(pattern=patterns, kept=st.sets(st.integers(0, len(TOKENS) - 2), min_size=1))
@settings(max_examples=150)
def test_tokens_are_allowed_as_their_bytes_say(pattern: str, kept: set[int]) -> None:
    """Whatever the vocabulary lacks: no token is allowed that leads where nothing goes on."""
    tokens = tuple(text if n in kept else b"" for n, text in enumerate(TOKENS))
    form = of_regex(pattern)
    reference = ReferenceForm(form.to_text_table(), tokens, END)
    if reference.shortest is None:
        with pytest.raises(RefusedFormError, match="satisfied by no text"):
            of_tokens(form, Vocabulary(tokens, END))
        return
    automaton = of_tokens(form, Vocabulary(tokens, END))
    assert automaton.shortest == reference.shortest
    worst = array("i", automaton.worst)
    todo, seen = [[]], {automaton.start}
    while todo:
        token_ids = todo.pop()
        state = automaton.walk(token_ids)
        assert state is not None
        allowed = allowed_by(automaton, state)
        assert allowed == reference.allowed(token_ids, 10_000)
        ways = {token: automaton.walk([token], state) for token in range(len(TOKENS))}
        assert {token for token, following in ways.items() if following is not None} == allowed
        reached = [reference.distances[ways[token] or 0] for token in allowed - {END}]
        assert worst[state] == max(reached, default=0)
        for token in sorted(allowed - {END}):
            if ways[token] not in seen:
                seen.add(ways[token] or 0)
                todo.append([*token_ids, token])


@given(pattern=patterns, seed=st.integers(0, 2**32))
@settings(max_examples=150)
def test_any_way_through_it_satisfies_the_form(pattern: str, seed: int) -> None:
    """Also the shortest way, once there are only so many tokens left."""
    try:
        automaton = of_tokens(of_regex(pattern), ALL)
    except RefusedFormError:
        return
    rng = random.Random(seed)
    reference = ReferenceForm(of_regex(pattern).to_text_table(), TOKENS, END)
    most = automaton.shortest + rng.randrange(4)
    token_ids = list[int]()
    while len(token_ids) < most:
        token = rng.choice(sorted(reference.allowed(token_ids, most)))
        if token == END:
            break
        token_ids.append(token)
        assert automaton.allows_within(token_ids, most)
    assert matches(pattern, b"".join(TOKENS[token] for token in token_ids).decode())


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("^ab$", "ab"), (r"^a\$$", "a$"), (r"(?i)^ab", "AB"), ("a|b$", "b"), (r"a\\$", "a\\")],
)
def test_anchors_of_the_ends_say_nothing(pattern: str, text: str) -> None:
    assert accepts(of_regex(pattern), text)
    assert not accepts(of_regex(pattern), text + "x")


@pytest.mark.parametrize(
    ("pattern", "text", "is_match"),
    [
        (".", "\n", False),
        ("(?s).", "\n", True),
        ("(?s:.)x.", "\nx\n", False),
        ("((?s).)x.", "\nxy", True),
        ("((?s).)x.", "\nx\n", False),
        ("(?s)(?-s:.).", "y\n", True),
        (r"\S\W\D", "a!b", True),
        (r"\pL\p{Greek}\P{L}", "aλ1", True),
        ("[]a]+", "]a]", True),
        ("[^]a]", "b", True),
        ("[[:alpha:]&&[^aeiou]]+", "xyz", True),
        ("[[:alpha:]&&[^aeiou]]+", "xaz", False),
        (r"[\]\[]+", "[]", True),
        (r"\x{65e5}\u0061", "日a", True),
        ("(?P<year>[0-9]{4})", "2024", True),
        ("(?i)straße", "STRAßE", True),
        ("a|ab", "ab", True),
        ("(ab)*", "abab", True),
    ],
)
def test_the_syntax_is_that_of_the_library(pattern: str, text: str, is_match: bool) -> None:
    assert accepts(of_regex(pattern), text) is is_match


@pytest.mark.parametrize("pattern", ["[^a]*", "(?s).*", r"\S*", r"\P{L}*", "[[:cntrl:]]*", r"\pC*"])
def test_no_text_of_a_form_has_a_nul(pattern: str) -> None:
    assert not accepts(of_regex(pattern), "\0")


@pytest.mark.parametrize("nul", ["\0", r"\x00", r"\x{0}"])
def test_a_nul_of_a_pattern_fits_nothing(nul: str) -> None:
    assert not accepts(of_regex(f"a|{nul}b"), "\0b")
    assert accepts(of_regex(f"a|{nul}b"), "a")
    with pytest.raises(RefusedFormError, match="satisfied by no text"):
        of_tokens(of_regex(f"a{nul}b"), ALL)


@pytest.mark.parametrize(
    ("pattern", "num_states"),
    [
        ("x[a-z]{0,64}", 66),
        ("[a-z_][a-z0-9_]{0,31}", 33),
        ("x.{0,40}y", 400),
    ],
)
def test_a_repeat_has_no_state_for_each_place_where_it_could_begin(
    pattern: str, num_states: int
) -> None:
    assert len(of_regex(pattern).accepts) <= num_states


def test_a_length_has_bounds() -> None:
    form = of_regex("a{1,129}")
    assert [n for n in range(132) if accepts(form, "a" * n)] == list(range(1, 130))
    assert of_tokens(form, ALL).shortest == 1
    assert of_tokens(of_regex("a{129}"), ALL).shortest == 29  # of 25 "aaaaa" and 4 "a"


def test_the_only_way_may_be_the_longest_token() -> None:
    tokens = tuple(text if text == b"a" * 5 else b"" for text in TOKENS)
    automaton = of_tokens(of_regex("a{1,12}"), Vocabulary(tokens, END))
    longest = TOKENS.index(b"a" * 5)
    assert allowed_by(automaton, automaton.start) == {longest}
    state = automaton.walk([longest, longest])
    assert state is not None
    assert allowed_by(automaton, state) == {END}  # a third one would be too long


def test_an_empty_reply_may_satisfy_it() -> None:
    automaton = of_tokens(of_regex(""), ALL)
    assert automaton.shortest == 0
    assert allowed_by(automaton, automaton.start) == {END}


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"\bword", "word boundary"),
        ("(^a|b)", r"has \^ within"),
        (r"(a\z|b)", "has .z within"),
        ("(a$|b)c", "has . within"),
        ("a)(b", "has not opened"),
        ("(?x)a b", "flag x, which is not served"),
        ("(?-u:a)", "flag u, which is not served"),
        ("[^\\s\\S]", "satisfied by no text"),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(pattern: str, reason: str) -> None:
    with pytest.raises(RefusedFormError, match=reason):
        of_tokens(of_regex(pattern), ALL)


def test_many_choices_are_refused_by_name() -> None:
    with pytest.raises(RefusedFormError, match="65536 are built"):
        of_choices([f"{number:05} and more" * 3 for number in range(2000)])


def test_many_states_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_automaton, "MAX_STATES", 100)
    with pytest.raises(RefusedFormError, match="at most 100 are built"):
        of_regex("a{101}")


@pytest.mark.parametrize(("bound", "value"), [("MAX_STEPS", 20), ("MAX_BYTES", 900)])
def test_large_tables_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(token_automaton, bound, value)
    with pytest.raises(RefusedFormError, match=f"{value} (steps|bytes|are)"):
        of_tokens(of_regex("[a-z]{1,20}"), ALL)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("a(b(c)", "closes no bracket that it opens at character 2"),
        ("^a(b$", "closes no bracket that it opens at character 3"),
        ("(?i)^((?s:a)", "closes no bracket that it opens at character 6"),
        ("ab)", "closes a bracket at character 3 that it has not opened"),
        ("^ab)", "closes a bracket at character 4 that it has not opened"),
        ("a[b", "closes no class that it opens at character 2"),
        ("a[[b]", "closes no class that it opens at character 2"),
        ("a[b\\]", "closes no class that it opens at character 2"),
        ("a(?=b)", "has look-around at character 2, which is not served"),
        ("(?!b)a", "has look-around at character 1"),
        ("(?<=b)a", "has look-around at character 1"),
        ("(?<!b)a", "has look-around at character 1"),
        (r"(a)\1", "has a back-reference at character 4"),
        (r"(?P<x>a)\k<x>", "has a back-reference at character 9"),
        ("(?P<x>a)(?P=x)", "has a back-reference at character 9"),
        ("(?>a)", "has an atomic group at character 1"),
        ("(?#why)a", "has a comment at character 1"),
        ("a\\", "ends with a backslash"),
        ("\ud800", "half of a character"),
        ("(?:" * 2000 + "a" + ")" * 2000, "nests more than 248 brackets"),
        ("*a", "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_pattern_is_told(pattern: str, reason: str) -> None:
    with pytest.raises(RefusedFormError) as raised:
        of_regex(pattern)
    assert reason in str(raised.value)


@pytest.mark.parametrize(
    "pattern",
    ["[(]", r"\(", "[(?=]", r"\\1", r"[\]]", "(?P<x>a)", "(?<x>a)", "(?:" * 240 + "a" + ")" * 240],
)
def test_what_only_looks_wrong_is_built(pattern: str) -> None:
    of_regex(pattern)
