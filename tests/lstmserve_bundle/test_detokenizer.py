"""Text arrives in pieces, never with part of a character."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_bundle import Bundle, IncrementalDetokenizer
from support.tiny_checkpoint import VOCABULARY

REPLACEMENT = "\ufffd"


def pieces(bundle: Bundle, groups: Sequence[Sequence[int]]) -> list[str]:
    detokenizer = IncrementalDetokenizer(bundle.tokenizer)
    return [*map(detokenizer.push, groups), detokenizer.finish()]


def cut(token_ids: list[int], cuts: set[int]) -> list[list[int]]:
    edges = [0, *sorted(at for at in cuts if at < len(token_ids)), len(token_ids)]
    return [token_ids[a:b] for a, b in itertools.pairwise(edges)]


@given(st.text(), st.sets(st.integers(0, 60)))
def test_pieces_of_text_join_to_the_whole(bundle: Bundle, text: str, cuts: set[int]) -> None:
    token_ids = bundle.tokenizer.encode(text)
    found = pieces(bundle, cut(token_ids, cuts))
    whole = bundle.tokenizer.decode(token_ids)
    assert "".join(found) == whole
    assert (REPLACEMENT in whole) or not any(REPLACEMENT in piece for piece in found)


@given(st.lists(st.integers(0, VOCABULARY - 1)), st.sets(st.integers(0, 60)))
def test_pieces_of_any_tokens_join_to_the_whole(
    bundle: Bundle, token_ids: list[int], cuts: set[int]
) -> None:
    found = pieces(bundle, cut(token_ids, cuts))
    assert "".join(found) == bundle.tokenizer.decode(token_ids)


@pytest.mark.parametrize("text", ["包裹坏了", "👍🏽 ok", "🚚🚚", "龘𠮷", "❤️", "naïve café"])
def test_byte_by_byte_a_character_waits_for_its_last_byte(bundle: Bundle, text: str) -> None:
    one_byte = {bundle.tokenizer.token_bytes(token_id): token_id for token_id in range(VOCABULARY)}
    token_ids = [one_byte[bytes([byte])] for byte in text.encode()]
    found = pieces(bundle, [[token_id] for token_id in token_ids])
    assert [piece for piece in found if piece] == list(text)


def test_an_unfinished_character_becomes_a_replacement_at_the_end(bundle: Bundle) -> None:
    one_byte = {bundle.tokenizer.token_bytes(token_id): token_id for token_id in range(VOCABULARY)}
    half = [one_byte[bytes([byte])] for byte in "包".encode()[:2]]
    assert pieces(bundle, [half]) == ["", REPLACEMENT]
    assert bundle.tokenizer.decode(half) == REPLACEMENT


def test_special_tokens_are_silent(bundle: Bundle) -> None:
    end = bundle.template.end_id
    assert pieces(bundle, [[end], [end, end]]) == ["", "", ""]
