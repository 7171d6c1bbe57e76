"""What the tokenizer writes instead of numbers, addresses and links."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_training.recipe.sections import TokenizerSection
from lstmserve_training.tokenizer import normalizer
from support.growth import HOSTILE, MOST, measure_growth

MASKING = normalizer(TokenizerSection(mask=["numbers", "emails", "links"]))
MASKS = ("[number]", "[email]", "[link]")


def mask(text: str) -> str:
    assert MASKING is not None
    return MASKING.normalize_str(text)


# what version 2 of support-en was trained on text of
MASKS_AS_PUBLISHED = (
    (r"(?:https?://|www\.)\S*[\w/]", "[link]"),
    (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*", "[email]"),
    (r"\+?\(?\d(?:[ ().-]{0,2}\d){6,}|\d{5,}", "[number]"),
)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("order 502-2345678-9012345 is late", "order [number] is late"),
        ("call (555) 010 9999", "call [number]"),
        ("code 1234", "code 1234"),
        ("mail a.b@c.example or see http://x.example/y", "mail [email] or see [link]"),
        ("two\n lines\t here", "two\n lines\t here"),
    ],
)
def test_examples(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_nothing_is_masked_unless_asked_for() -> None:
    assert normalizer(TokenizerSection()) is None
    one = normalizer(TokenizerSection(mask=["emails"]))
    assert one is not None
    assert one.normalize_str("12345 a@b.c http://x.y") == "12345 [email] http://x.y"


@given(st.text())
def test_no_long_number_or_address_is_left(text: str) -> None:
    cleaned = mask(text)
    assert not re.search(r"[0-9]{5}", cleaned)
    assert not re.search(r"[a-z]@[a-z]", cleaned)


@given(st.text())
def test_masking_twice_changes_nothing_more(text: str) -> None:
    assert mask(mask(text)) == mask(text)


def test_masks_are_left_alone() -> None:
    text = " ".join(MASKS)
    assert mask(text) == text


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


def _mask_as_published(text: str) -> str:
    for pattern, replacement in MASKS_AS_PUBLISHED:
        text = re.sub(pattern, replacement, text)
    return text


@pytest.mark.parametrize("piece", HOSTILE)
def test_masking_takes_time_that_grows_with_the_text(piece: str) -> None:
    assert measure_growth(mask, piece) < MOST
