from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_training.cleaning import MASKS, clean, mask, replace_names
from support.growth import HOSTILE, MOST, measure_growth

# what version 2 of support-en was trained on text of
MASKS_AS_PUBLISHED = (
    (r"(?:https?://|www\.)\S*[\w/]", "[link]"),
    (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*", "[email]"),
    (r"\+?\(?\d(?:[ ().-]{0,2}\d){6,}|\d{5,}", "[number]"),
)
PIECES = ("a", "Z9", "@", ".", "+", "-", "_", " ", "www.", "12345", "\u0301", "\u00b2", "\u6211")

NAMES = ["amazon", "flipkart", "samsung", "iphone", "paytm", "hdfc", "dtdc", "google", "nike"]


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("I bought a Samsung phone on Amazon", "I bought a phone on our store"),
        ("my iPhone broke", "my broke"),
        ("my Samsung.", "my device."),
        ("is it on your Flipkart.com?", "is it on our store?"),
        ("paid by Google Pay", "paid by wallet app"),
        ("my HDFC bank card", "my bank card"),
        ("the DTDC man", "the courier man"),
        ("pineapple and dovetail stay", "pineapple and dovetail stay"),
        ("order 502-2345678-9012345 is late", "order [number] is late"),
        ("call (555) 010 9999", "call [number]"),
        ("code 1234", "code 1234"),
        ("mail a.b@c.example or see http://x.example/y", "mail [email] or see [link]"),
        ("two\n lines\t here", "two lines here"),
    ],
)
def test_examples(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(st.lists(st.sampled_from([*NAMES, "my", "the", "phone", "a", "is", "late", "."])))
def test_no_name_is_left(words: list[str]) -> None:
    text = clean(" ".join(words))
    assert not re.search(rf"\b(?:{'|'.join(NAMES)})\b", text, re.IGNORECASE)


@given(st.text())
def test_no_long_number_or_address_is_left(text: str) -> None:
    cleaned = clean(text)
    assert not re.search(r"\d{5}", cleaned)
    assert not re.search(r"\w@\w", cleaned)


@given(st.text())
def test_masking_twice_changes_nothing_more(text: str) -> None:
    assert mask(mask(text)) == mask(text)


def test_masks_are_left_alone() -> None:
    text = " ".join(MASKS)
    assert mask(replace_names(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "jane.doe+x@example.co.uk",
        "a@b+c@d+e@f",
        "a@b.c.+q@z",
        "a@.b x.@y @ a@",
        "mail me: first.last@mail-server.example, or O'Neil@x.example!",
        "-@-.-",
        "me@home@work",
        "user_name@sub.domain.example.",
    ],
)
def test_addresses_are_masked_as_they_were(text: str) -> None:
    assert mask(text) == _mask_as_published(text)


@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=100).map("".join))
def test_training_text_becomes_what_it_became(text: str) -> None:
    assert mask(text) == _mask_as_published(text)


def _mask_as_published(text: str) -> str:
    for pattern, replacement in MASKS_AS_PUBLISHED:
        text = re.sub(pattern, replacement, text)
    return text


@pytest.mark.parametrize("piece", HOSTILE)
def test_cleaning_takes_time_that_grows_with_the_text(piece: str) -> None:
    assert measure_growth(clean, piece) < MOST
