from __future__ import annotations

import json
import sys
import threading
import unicodedata
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_bundle import Bundle, Tokenizer
from lstmserve_bundle.tokenizer import EMAIL_PATTERN, LINEAR_PATTERNS, make_linear
from support.growth import HOSTILE, MOST, make_text, measure_growth

PUBLISHED = Path(__file__).parents[2] / "model_store" / "support-en" / "2" / "tokenizer.json"
# pieces that addresses, links and numbers are made of, and may be mistaken for
PIECES = (
    "a",
    "Z9",
    "@",
    ".",
    "+",
    "-",
    "_",
    " ",
    "www.",
    "http://",
    "12345",
    "\u0301",
    "\u00b2",
    "\u6211",
)
addresses = st.lists(st.sampled_from(PIECES), max_size=200).map("".join)

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


@pytest.fixture(scope="module")
def published() -> Tokenizer:
    """Of a version whose file carries a pattern of quadratic time, and stays as it is."""
    return Tokenizer.from_file(PUBLISHED)


@pytest.fixture(scope="module")
def as_published() -> tokenizers.Tokenizer:
    """The same, with its patterns as they are."""
    backend = tokenizers.Tokenizer.from_file(str(PUBLISHED))
    backend.encode_special_tokens = True
    return backend


@given(st.text() | addresses | st.text(alphabet="a1@.+- ", max_size=400))
def test_a_linear_pattern_gives_the_ids_of_the_published_one(
    published: Tokenizer, as_published: tokenizers.Tokenizer, text: str
) -> None:
    expected = as_published.encode(text, add_special_tokens=False).ids
    assert published.encode(text) == expected
    # as what is long is encoded
    padding = " ".join(["hello"] * 200)
    assert (
        published.encode(text + padding)
        == as_published.encode(text + padding, add_special_tokens=False).ids
    )


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_text_takes_time_that_grows_with_its_length(published: Tokenizer, piece: str) -> None:
    assert measure_growth(published.encode, piece) < MOST


def test_hostile_texts_have_the_ids_of_the_published_pattern(
    published: Tokenizer, as_published: tokenizers.Tokenizer
) -> None:
    for piece in HOSTILE:
        text = make_text(piece, 1500)
        assert published.encode(text) == as_published.encode(text, add_special_tokens=False).ids


def test_other_threads_run_while_a_long_text_is_encoded(published: Tokenizer) -> None:
    """Without ever being made to, so that it is for as long as the text takes."""
    begun, is_over, num_turns = threading.Event(), threading.Event(), 0

    def encode() -> None:
        begun.set()
        published.encode("hello there " * 30_000)
        is_over.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        thread = threading.Thread(target=encode)
        thread.start()
        begun.wait()
        while not is_over.is_set():
            num_turns += 1
            is_over.wait(0.001)
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert num_turns > 1


def test_only_patterns_that_are_known_are_replaced() -> None:
    (slow,) = LINEAR_PATTERNS

    def patterns(*found: str) -> dict[str, object]:
        each = [{"type": "Replace", "pattern": {"Regex": one}, "content": "x"} for one in found]
        return {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, *each]}}

    assert json.loads(make_linear(json.dumps(patterns("a+", slow)))) == patterns(
        "a+", EMAIL_PATTERN
    )
    alone = {"normalizer": {"type": "Replace", "pattern": {"Regex": slow}, "content": "x"}}
    assert json.loads(make_linear(json.dumps(alone)))["normalizer"]["pattern"] == {
        "Regex": EMAIL_PATTERN
    }
    for other in (patterns("a+"), {"normalizer": None}, {"normalizer": {"pattern": "x"}}, {}, []):
        assert make_linear(json.dumps(other)) == json.dumps(other)
