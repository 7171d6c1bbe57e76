"""The n-gram model, on counts that can be made by hand."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks.ngrams.counts import Ngrams
from lstmserve_training.documents import Document
from lstmserve_training.perplexity import target_scores

START, A, B, C = range(4)


def document(*token_ids: int) -> Document:
    return Document([START, *token_ids], [0.0] + [1.0] * len(token_ids))


def probabilities(model: Ngrams, *token_ids: int) -> list[float]:
    state = model.initial_state(1)
    for token_id in token_ids:
        scores, state = model.step(state, torch.tensor([token_id]))
    return [float(value) for value in scores[0].exp()]


def test_single_tokens_are_smoothed_by_all_alike() -> None:
    model = Ngrams([document(A, A, A, B)], num_tokens=4, order=1)
    # 3, 1 of 4 counted, of 2 kinds: a third is spread over all four
    assert probabilities(model, START) == pytest.approx(
        [2 / 24, 3 / 6 + 2 / 24, 1 / 6 + 2 / 24, 2 / 24]
    )


def test_what_was_seen_after_the_same_tokens_counts_more() -> None:
    model = Ngrams([document(A, B, A, B, A, C)], num_tokens=4, order=3)
    after_c_a = probabilities(model, START, C, A)  # never seen: as after A alone
    after_a_b = probabilities(model, START, A, B)
    assert max(after_a_b) == after_a_b[A]
    assert after_c_a[B] > after_c_a[C] > after_c_a[START]
    assert sum(after_a_b) == pytest.approx(1)


def test_no_ngram_goes_from_one_document_to_the_next() -> None:
    apart = Ngrams([document(A), document(B)], num_tokens=4, order=2)
    assert probabilities(apart, START, A) == pytest.approx(probabilities(apart, START, C))


def test_it_is_measured_as_networks_are() -> None:
    model = Ngrams([document(A, B, C)], num_tokens=4, order=2)
    scores = target_scores(model, [document(A, B), document(C)])
    assert [len(rows) for rows in scores] == [2, 1]
    assert scores[0][:, 1].tolist() == [0, 0]
    assert float(scores[0][0, 0]) == pytest.approx(-math.log(probabilities(model, START)[A]))


def test_ngrams_that_fit_into_no_number_are_refused() -> None:
    with pytest.raises(ValueError, match="63 bits"):
        Ngrams([document(A)], num_tokens=4096, order=6)
