from __future__ import annotations

import random
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmserve_training.documents import (
    Corpus,
    Document,
    Documents,
    Part,
    collate,
    load_corpus,
    make_batches,
    save_corpus,
    segments,
)
from lstmserve_training.errors import DataError


@st.composite
def some_documents(draw: st.DrawFn) -> list[Document]:
    lengths = draw(st.lists(st.integers(2, 40), min_size=1, max_size=30))
    # every token id is unique, so that a target can be recognized
    ids = iter(range(1, sum(lengths) + 1))
    return [
        Document([next(ids) for _ in range(length)], [0.0] + [1.0] * (length - 1))
        for length in lengths
    ]


@given(some_documents(), st.integers(1, 8), st.integers(1, 12), st.integers())
def test_every_target_is_predicted_exactly_once_from_the_token_before(
    documents: list[Document], rows: int, length: int, seed: int
) -> None:
    seen = []
    packed = Documents.pack(documents)
    places = [(packed, at) for at in range(len(packed))]
    for group in make_batches(places, rows, random.Random(seed)):
        assert 1 <= len(group) <= rows
        for inputs, targets, weights in segments(collate(d[at] for d, at in group), length):
            assert inputs.shape == targets.shape == weights.shape
            assert inputs.shape[1] <= length
            counted = weights > 0
            seen += list(zip(inputs[counted].tolist(), targets[counted].tolist(), strict=True))
    expected = [pair for d in documents for pair in zip(d.token_ids, d.token_ids[1:], strict=False)]
    assert sorted(seen) == sorted(expected)


@given(some_documents())
def test_documents_come_back_as_they_were(documents: list[Document]) -> None:
    packed = Documents.pack(iter(documents))
    assert list(packed) == documents
    assert packed[-1] == documents[-1]
    assert packed[1:3] == documents[1:3]
    assert [packed.length(at) for at in range(len(packed))] == [
        len(document.token_ids) for document in documents
    ]
    assert packed.num_tokens == sum(len(document.token_ids) for document in documents)


@given(some_documents())
def test_a_corpus_comes_back_as_it_was(documents: list[Document]) -> None:
    whole, one, none = map(Documents.pack, (documents, documents[:1], []))
    corpus = Corpus([Part(whole, 0.5), Part(one, repeat=2)], [[Part(none)]], {"lines": one})
    with tempfile.TemporaryDirectory() as folder:  # a fresh one for every example
        path = Path(folder, "corpus.pt")
        save_corpus(corpus, path)
        assert load_corpus(path) == corpus


def test_a_file_that_is_no_corpus_is_named(tmp_path: Path) -> None:
    (tmp_path / "corpus.pt").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"corpus\.pt cannot be read; it is damaged: prepare again"):
        load_corpus(tmp_path / "corpus.pt")


def draw(corpus: Corpus, number: int, rng: random.Random) -> list[int]:
    """The first token of each document of an epoch."""
    return [documents[at].token_ids[0] for documents, at in corpus.epoch(number, rng)]


def test_each_epoch_reads_the_common_part_and_one_variant() -> None:
    common, one, other = (Part(Documents.pack([Document([n, n], [0.0, 1.0])])) for n in (1, 2, 3))
    corpus = Corpus([common], [[one], [other]])
    rng = random.Random(1)
    assert [draw(corpus, n, rng) for n in range(3)] == [[1, 2], [1, 3], [1, 2]]
    assert draw(Corpus([common]), 5, rng) == [1]
    assert draw(Corpus([replace(common, repeat=3)]), 0, rng) == [1, 1, 1]


def test_a_share_of_a_part_is_drawn_anew_for_each_epoch() -> None:
    common = Documents.pack(Document([n, n], [0.0, 1.0]) for n in range(40))
    drawn = [draw(Corpus([Part(common, 0.25)]), n, random.Random(n)) for n in range(2)]
    assert [len(epoch) for epoch in drawn] == [10, 10]
    assert drawn[0] != drawn[1]
