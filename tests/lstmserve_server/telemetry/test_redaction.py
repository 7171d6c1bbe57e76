"""What is taken out of people's words before they stand in a log."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_server.telemetry.redaction import MAX_READ, MAX_SHOWN, redact

WORDS = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyzäöü你好 .,!?\n"), max_size=60)
HOSTS = st.from_regex(r"[a-z]{1,12}(\.[a-z]{2,8}){1,2}", fullmatch=True)
EMAILS = st.builds(
    "{}@{}".format, st.from_regex(r"[a-z0-9][a-z0-9.+_-]{0,20}[a-z0-9]", fullmatch=True), HOSTS
)
SEPARATORS = st.sampled_from(["", " ", "-", ".", "/"])


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """Digits in groups, as people write telephone and card numbers."""
    groups = draw(st.lists(st.from_regex(r"[0-9]{2,5}", fullmatch=True), min_size=3, max_size=5))
    return draw(st.sampled_from(["", "+"])) + draw(SEPARATORS).join(groups)


@st.composite
def ibans(draw: st.DrawFn) -> str:
    compact = draw(st.from_regex(r"(DE|GB|FR)[0-9]{2}[0-9]{14,18}", fullmatch=True))
    blocks = [compact[start : start + 4] for start in range(0, len(compact), 4)]
    return draw(st.sampled_from(["", " "])).join(blocks)


@given(text=st.text(max_size=MAX_READ + 600))
def test_whatever_comes_is_one_short_line(text: str) -> None:
    shown = redact(text)
    assert len(shown) <= MAX_SHOWN
    assert shown.isprintable()


@given(before=WORDS, item=EMAILS | numbers() | ibans(), after=WORDS)
def test_addresses_and_numbers_are_found_in_any_company(before: str, item: str, after: str) -> None:
    assert item not in redact(f"{before} {item} {after}")


@given(text=WORDS, number=numbers())
def test_no_six_digits_in_a_row_are_left(text: str, number: str) -> None:
    shown = redact(f"{text}{number}{text}")
    assert re.search(r"\d{6}", shown) is None


@given(text=st.text(st.sampled_from("abcdefghij klmnop.,!?"), max_size=300))
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mail jo.doe+x@mail.example.co.uk.", "mail [email]."),
        ("call +49 (0)30 1234-5678 now", "call [phone] now"),
        ("call 030/1234567", "call [phone]"),
        ("card 4111 1111 1111 1111 exp 12/27", "card [card] exp 12/27"),
        ("4111-1111-1111-1111", "[card]"),
        ("iban DE89 3704 0044 0532 0130 00 ok", "iban [iban] ok"),
        ("GB82WEST12345698765432", "[iban]"),
        ("order 12345 and 1234567", "order 12345 and [number]"),
        ("see https://bob:hunter2@host.example/a", "see https://[credentials]@host.example/a"),
        ("https://host.example/?token=abc&page=2", "https://host.example/?token=[secret]&page=2"),
        ("my password is hunter2!", "my password is [secret]"),
        ('{"api_key": "a b"}', '{"api_key": "[secret] b"}'),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [secret]"),
        ("use eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNry", "use [secret]"),
        ("sk-abc123def456ghi789jkl012", "[secret]"),
        # tokens of callers, also without a digit or when most of one is missing
        (f"I am lst_{'aB-_x' * 8}abc, ok?", "I am [secret], ok?"),
        ("(lst_abcDEFghiJKL", "([secret]"),
        ("lst_models is a name", "lst_models is a name"),
        ("2 orders of 2026, please", "2 orders of 2026, please"),
        ("NR15 please help me now", "NR15 please help me now"),
        ("internationalization-and-so-on-and-on", "internationalization-and-so-on-and-on"),
        ("one\r\ntwo\x1b[31m\u2028three", "one  two [31m three"),
    ],
)
def test_what_is_written_in_the_usual_ways_is_found(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_what_is_cut_off_is_not_shown_in_part() -> None:
    # the reading ends within the number, too early for it to be recognized as one
    before = "word " * 60 + f"{'a' * 60}@example.org " * 9
    padding = "x" * (MAX_READ - len(before) - len(" 4111 1"))
    shown = redact(f"{before}{padding} 4111 1111 1111 1111")
    assert shown.startswith("word word")
    assert "4111" not in shown


def test_a_long_text_says_that_it_goes_on() -> None:
    assert redact("word " * 200).endswith("…")
    assert redact("word " * (MAX_READ // 4)).endswith("…")
