"""Tokenizers of every kind: no text is unknown, and all come back."""

from __future__ import annotations

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_bundle.tokenizer import Tokenizer
from lstmserve_training.recipe.sections import TokenizerSection
from lstmserve_training.tokenizer import train_tokenizer

TEXTS = ["床前明月光、疑是地上霜。\n\n举头望明月", "the cat sat on the mat\nthe end"] * 3
SPECIAL = ["<|end|>", "<|user|>"]


def make(**keys: object) -> Tokenizer:
    section = TokenizerSection.model_validate({"vocabulary": 384, **keys})
    backend = train_tokenizer(TEXTS, section, SPECIAL)
    return Tokenizer(tokenizers.Tokenizer.from_str(backend.to_str()))


KINDS = {kind: make(kind=kind) for kind in ("bpe", "words", "characters")}


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text() | st.sampled_from([*TEXTS, "<|end|> <|pad:0|>", "\u0301e 👋\r\n"]))
def test_any_text_comes_back(kind: str, text: str) -> None:
    tokenizer = KINDS[kind]
    token_ids = tokenizer.encode(text)
    assert tokenizer.decode(token_ids) == text
    assert not tokenizer.special_ids & set(token_ids)


@pytest.mark.parametrize("kind", KINDS)
def test_the_vocabulary_is_whole_vectors(kind: str) -> None:
    tokenizer = KINDS[kind]
    assert tokenizer.num_tokens % 64 == 0
    assert tokenizer.num_tokens <= 384
    assert [tokenizer.special_id(token) for token in SPECIAL] == [0, 1]


def test_characters_and_words_are_one_token_each() -> None:
    assert len(KINDS["characters"].encode("床前\n")) == 3
    assert len(KINDS["words"].encode("the cat the")) == 3
    assert KINDS["words"].encode(" the") == KINDS["words"].encode("cat the")[-1:]


def test_the_most_frequent_words_have_the_room_there_is() -> None:
    tokenizer = make(kind="characters", vocabulary=320)
    assert tokenizer.num_tokens == 320


def test_normalization_is_part_of_the_tokenizer() -> None:
    tokenizer = make(normalize="NFC", lowercase=True, mask=["numbers"])
    assert tokenizer.decode(tokenizer.encode("CAFE\u0301 123456")) == "café [number]"
