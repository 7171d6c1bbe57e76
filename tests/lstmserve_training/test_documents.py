from __future__ import annotations

import random
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lstmserve_training.documents import (
    Corpus,
    Document,
    collate,
    load_corpus,
    make_batches,
    save_corpus,
    segments,
)


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
    for group in make_batches(documents, rows, random.Random(seed)):
        assert 1 <= len(group) <= rows
        for inputs, targets, weights in segments(collate(group), length):
            assert inputs.shape == targets.shape == weights.shape
            assert inputs.shape[1] <= length
            counted = weights > 0
            seen += list(zip(inputs[counted].tolist(), targets[counted].tolist(), strict=True))
    expected = [pair for d in documents for pair in zip(d.token_ids, d.token_ids[1:], strict=False)]
    assert sorted(seen) == sorted(expected)


@given(some_documents())
def test_a_corpus_comes_back_as_it_was(documents: list[Document]) -> None:
    corpus = Corpus([documents, documents[:1], []], documents[1:], documents)
    with tempfile.TemporaryDirectory() as folder:  # a fresh one for every example
        path = Path(folder, "corpus.pt")
        save_corpus(corpus, path)
        assert load_corpus(path) == corpus


def test_each_epoch_reads_the_common_part_and_one_variant() -> None:
    common, one, other = (Document([n, n], [0.0, 1.0]) for n in (1, 2, 3))
    corpus = Corpus([[common], [one], [other]], [], [])
    rng = random.Random(1)
    assert [corpus.epoch(n, 1.0, rng) for n in range(3)] == [
        [common, one],
        [common, other],
        [common, one],
    ]
    assert Corpus([[common]], [], []).epoch(5, 1.0, rng) == [common]


def test_a_share_of_the_common_part_is_drawn_anew_for_each_epoch() -> None:
    common = [Document([n, n], [0.0, 1.0]) for n in range(40)]
    corpus = Corpus([common], [], [])
    drawn = [corpus.epoch(n, 0.25, random.Random(n)) for n in range(2)]
    assert [len(epoch) for epoch in drawn] == [10, 10]
    assert drawn[0] != drawn[1]
