"""Measures on cases that can be counted by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lstmserve_bundle.tokenizer import Tokenizer
from lstmserve_training.documents import Document
from lstmserve_training.errors import DataError
from lstmserve_training.evaluate import text_measures
from lstmserve_training.held_out import contexts
from lstmserve_training.perplexity import (
    counted_targets,
    perplexity,
    perplexity_of,
    ranks,
    reply_targets,
    target_nats,
)
from lstmserve_training.recipe.sections import TokenizerSection
from lstmserve_training.replies import accuracy, distinct, draw, next_logits, sample_replies
from lstmserve_training.speed import one_thread, tokens_per_second
from lstmserve_training.tokenizer import train_tokenizer

NUM_TOKENS = 50
END = 9


class Uniform:
    """Every token is as likely as any other."""

    def initial_state(self, rows: int) -> Tensor:
        return torch.zeros(rows, 1)

    def step(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        assert len(state) == len(tokens)
        return torch.zeros(len(tokens), NUM_TOKENS), state


class Counter(Uniform):
    """After token n comes n + 1, nearly always; the state is the sum of what was read."""

    def step(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        logits = torch.full((len(tokens), NUM_TOKENS), -100.0)
        logits[torch.arange(len(tokens)), (tokens + 1) % NUM_TOKENS] = 0.0
        return logits, state + tokens[:, None]


class InPlace(Uniform):
    """What comes depends on the state, which a step overwrites."""

    def step(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        state.mul_(3).add_(tokens[:, None]).remainder_(1009)
        logits = torch.full((len(tokens), NUM_TOKENS), -100.0)
        logits[torch.arange(len(tokens)), 10 + state[:, 0].long() % 40] = 0.0
        return logits, state


def document(*token_ids: int) -> Document:
    return Document(list(token_ids), [0.0] + [1.0] * (len(token_ids) - 1))


@given(st.lists(st.lists(st.integers(0, NUM_TOKENS - 1), min_size=2), min_size=1, max_size=99))
def test_the_perplexity_of_a_uniform_model_is_the_vocabulary(rows: list[list[int]]) -> None:
    documents = [document(*row) for row in rows]
    assert perplexity(Uniform(), documents) == pytest.approx(NUM_TOKENS)


def test_perplexity_counts_tokens_not_documents() -> None:
    right, wrong = document(1, 2, 3, 4), document(5, 7)
    assert perplexity(Counter(), [right]) == pytest.approx(1.0)
    assert perplexity(Counter(), [right, wrong]) == pytest.approx(math.exp(100 / 4))


def test_ranks_count_what_is_more_likely_and_lower_ids_among_equals() -> None:
    logits = torch.tensor([[0.5, 2.0, 0.5, -1.0]]).expand(4, -1)
    assert ranks(logits, torch.arange(4)).tolist() == [1, 0, 2, 3]


def test_text_measures_are_of_characters_and_of_the_most_likely_tokens() -> None:
    section = TokenizerSection(kind="characters", vocabulary=320)
    tokenizer = Tokenizer(train_tokenizer(["né"], section, ["<|end|>"]))
    documents = {"text": [document(tokenizer.special_id("<|end|>"), *tokenizer.encode("nné"))]}
    scores = {"text": [torch.tensor([[math.log(2), 0.0], [math.log(4), 4.0], [math.log(8), 5.0]])]}
    found = text_measures(scores, documents, tokenizer)
    assert found["bits_per_character"] == pytest.approx((1 + 2 + 3) / 3)
    assert found["bits_per_byte"] == pytest.approx((1 + 2 + 3) / 4)
    assert found["top_1"] == pytest.approx(1 / 3)
    assert found["top_5"] == pytest.approx(2 / 3)


def test_targets_of_weight_zero_do_not_count() -> None:
    given_marker = Document([1, 7, 8], [0.0, 0.0, 4.0])
    assert perplexity(Counter(), [given_marker]) == pytest.approx(1.0)
    with pytest.raises(DataError, match="no target"):
        perplexity(Counter(), [Document([1, 2], [0.0, 0.0])])


def test_nats_come_back_in_the_order_of_the_documents() -> None:
    documents = [document(*range(length)) for length in (9, 2, 30, 4)]
    nats = target_nats(Uniform(), documents)
    assert [len(row) for row in nats] == [8, 1, 29, 3]
    assert perplexity_of(nats, map(counted_targets, documents)) == pytest.approx(NUM_TOKENS)


def test_reply_targets_are_the_words_of_the_replying_role() -> None:
    user, agent = 0, 1
    chat = Document(
        [user, 5, 6, agent, 7, END, user, 8, agent, 9, END],
        [0.0, 1.0, 1.0, 0.0, 0.1, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0],
    )
    mask = reply_targets(chat, agent, frozenset({user, agent}))
    assert torch.tensor(chat.token_ids[1:])[mask].tolist() == [7, END, 9, END]


def test_contexts_end_where_a_reply_begins() -> None:
    assert contexts(document(0, 5, 1, 7, 0, 8, 1, 9), 1) == [[0, 5, 1], [0, 5, 1, 7, 0, 8, 1]]


def test_a_text_is_gone_on_with_from_nothing_and_from_its_first_words() -> None:
    assert contexts(document(END, *range(10, 20)), None) == [[END], [END, 10, 11, 12]]
    assert contexts(document(END, *range(10, 40)), None)[1] == [END, *range(10, 18)]


@given(st.lists(st.lists(st.integers(0, 48), min_size=1, max_size=7), min_size=1, max_size=80))
def test_each_prompt_is_read_whatever_its_length_and_place(prompts: list[list[int]]) -> None:
    logits = next_logits(Counter(), prompts)
    assert logits.argmax(1).tolist() == [prompt[-1] + 1 for prompt in prompts]


def test_accuracy_over_everything_and_among_candidates() -> None:
    logits = torch.tensor([[5.0, 1.0, 0.0], [0.0, 1.0, 2.0], [0.0, 2.0, 1.0]])
    assert accuracy(logits, [0, 2, 2], None) == pytest.approx(2 / 3)
    assert accuracy(logits, [1, 2, 2], [1, 2]) == pytest.approx(2 / 3)
    assert accuracy(logits, [1, 2, 1], [2, 1]) == 1.0


def test_replies_stop_before_the_end_token_or_at_the_limit() -> None:
    replies = sample_replies(Counter(), [[3, 6], [1], [20]], END, 5, seed=1)
    assert replies == [[7, 8], [2, 3, 4, 5, 6], [21, 22, 23, 24, 25]]


def test_a_module_may_work_in_place() -> None:
    prompts = [[3, 6, 8], [1], [20, 4, 4, 5, 7], [2, 2]]
    together = sample_replies(InPlace(), prompts, END, 5, seed=1)
    alone = [sample_replies(InPlace(), [prompt], END, 5, seed=1)[0] for prompt in prompts]
    assert together == alone


def test_a_reply_does_not_depend_on_the_other_prompts() -> None:
    prompts = [[n % 7 + 1] * (n % 5 + 1) for n in range(70)]
    replies = sample_replies(Uniform(), prompts, END, 12, seed=5)
    assert replies[:20] == sample_replies(Uniform(), prompts[:20], END, 12, seed=5)
    assert replies != sample_replies(Uniform(), prompts, END, 12, seed=6)
    assert all(END not in reply for reply in replies)


def test_drawing_follows_the_probabilities() -> None:
    logits = torch.tensor([[0.0, math.log(2), math.log(5), -10_000.0]])
    uniform = (torch.arange(8, dtype=torch.float64) + 0.5) / 8
    picked = draw(logits.expand(8, -1), uniform)
    assert picked.tolist() == [0, 1, 1, 2, 2, 2, 2, 2]
    edges = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    assert draw(torch.tensor([[-10_000.0, 0.0, -10_000.0]]).expand(2, -1), edges).tolist() == [1, 1]


def test_distinct_by_hand() -> None:
    replies = ["Yes yes no", "no  YES\nno", "", "well"]
    # yes yes no | no yes no | well: three distinct words of seven; pairs: (yes yes), (yes no),
    # (no yes), (yes no): three distinct of four, and none across replies
    assert distinct(replies, 1) == pytest.approx(3 / 7)
    assert distinct(replies, 2) == pytest.approx(3 / 4)
    assert distinct(["one"], 2) == 0.0
    assert distinct([], 1) == 0.0


def test_speed_is_positive_and_leaves_the_threads_alone() -> None:
    before = torch.get_num_threads()
    assert tokens_per_second(Uniform(), 3, 0.001) > 0
    assert torch.get_num_threads() == before


def test_one_thread_is_given_back_after_an_error() -> None:
    torch.set_num_threads(2)
    with pytest.raises(ValueError, match="x"), one_thread():
        raise ValueError("x")
    assert torch.get_num_threads() == 2
