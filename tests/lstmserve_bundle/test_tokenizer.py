from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_bundle import Bundle

SPECIAL = ["<|user|>", "<|agent|>", "<|end|>", "<|intent:track_order|>"]


# five digits in a row, an at sign or a link would be masked
@given(st.text(st.characters(exclude_categories=("Cs", "Nd"), exclude_characters="@")))
def test_text_comes_back_as_it_was(bundle: Bundle, text: str) -> None:
    tokenizer = bundle.tokenizer
    if "www." not in text and "http" not in text:
        assert tokenizer.decode(tokenizer.encode(text)) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("spelling", SPECIAL)
@pytest.mark.parametrize("frame", ["{}", "a{}b", "{0}{0}", " {} ", "请{}"])
def test_a_prompt_cannot_forge_a_special_token(bundle: Bundle, spelling: str, frame: str) -> None:
    tokenizer = bundle.tokenizer
    text = frame.format(spelling)
    token_ids = tokenizer.encode(text)
    assert not {tokenizer.special_id(token) for token in SPECIAL} & set(token_ids)
    assert tokenizer.decode(token_ids) == text


@given(st.text(max_size=20), st.sampled_from(SPECIAL), st.text(max_size=20))
def test_no_text_around_it_makes_a_special_token(
    bundle: Bundle, before: str, spelling: str, after: str
) -> None:
    token_ids = bundle.tokenizer.encode(before + spelling + after)
    assert not {bundle.tokenizer.special_id(token) for token in SPECIAL} & set(token_ids)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("order 12345 please", "order [number] please"),
        ("only 1234 is kept", "only 1234 is kept"),
        ("call +1 (555) 010-9999 now", "call [number] now"),
        ("write to jane.doe+x@example.co.uk.", "write to [email]."),
        ("see https://example.com/a?b=1 today", "see [link] today"),
        ("see www.example.com/a", "see [link]"),
        ("订单 88888888 在哪里", "订单 [number] 在哪里"),
    ],
)
def test_numbers_addresses_and_links_are_masked(bundle: Bundle, text: str, masked: str) -> None:
    tokenizer = bundle.tokenizer
    assert tokenizer.decode(tokenizer.encode(text)) == masked
    assert tokenizer.encode(text) == tokenizer.encode(masked)


def test_a_mask_is_one_token(bundle: Bundle) -> None:
    for mask in ("[number]", "[email]", "[link]"):
        (token_id,) = bundle.tokenizer.encode(mask)
        assert bundle.tokenizer.token_bytes(token_id) == mask.encode()


def test_special_tokens_add_no_text(bundle: Bundle) -> None:
    for token in SPECIAL:
        assert bundle.tokenizer.token_bytes(bundle.tokenizer.special_id(token)) == b""
