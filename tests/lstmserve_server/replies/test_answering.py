"""Whose words answer, by what a request is about and how certain that is."""

from __future__ import annotations

from typing import Any

import pytest

from lstmserve_bundle import Answers, Classification
from lstmserve_server.engine.output import FinishReason
from lstmserve_server.engine.request import GenerationRequest, SamplingParams
from lstmserve_server.errors import ResumeMismatchError
from lstmserve_server.replies.answering import Understood, own_reply, understand
from lstmserve_server.replies.fill_in import FillIn, Values
from lstmserve_server.replies.reply import Outcome, ReplyOutcome
from support.engines import LoadedModel

DOCUMENT: dict[str, Any] = {
    "labels": {
        "cancel": {"title": "a cancellation", "answers": ["one", "two", "three"]},
        "refund": {"title": "a refund", "mentions": ["Your order is {{order_number}}."]},
        "human": {"answers": ["A person comes."], "outcome": "handover"},
        "chat": {"outcome": "unsure"},
    },
    "placeholders": {"order_number": {"kind": "order_number"}, "email": {"kind": "email"}},
    "fallback": {
        "answers": ["{{first_choice}} or {{second_choice}}?"],
        "mentions": ["We write to {{email}}."],
        "min_confidence": 0.5,
    },
}
ANSWERS = Answers.model_validate(DOCUMENT)
ALL = ("cancel", "chat", "refund", "human", "other")


def decide(
    label: str, probability: float = 0.9, least: float | None = None, answers: Answers = ANSWERS
) -> Understood:
    others = tuple((name, 0.01) for name in ALL if name != label)
    found = Classification(label, probability, others, 0.9)
    return understand(found, answers, Values(answers), least)


def test_a_label_with_answers_is_answered_by_them() -> None:
    found = decide("cancel")
    assert found.texts == ("one", "two", "three")
    assert (found.outcome, found.source) == (ReplyOutcome.ANSWERED, Outcome.ANSWERS)


@pytest.mark.parametrize("label", ["refund", "other"])
def test_what_has_no_answer_is_generated(label: str) -> None:
    assert (decide(label).texts, decide(label).outcome) == ((), ReplyOutcome.ANSWERED)


def test_what_ends_a_reply_goes_with_its_label_or_with_the_fallback() -> None:
    def mentions(label: str, probability: float = 0.9) -> list[str]:
        values = decide(label, probability).values
        assert values is not None
        return list(values.mentions)

    assert mentions("refund") == ["Your order is {{order_number}}."]
    assert mentions("cancel") == mentions("other") == []
    assert mentions("refund", 0.1) == mentions("chat") == ["We write to {{email}}."]


def test_a_person_takes_over() -> None:
    assert decide("human").outcome is ReplyOutcome.HANDOVER
    bare = Answers.model_validate({"labels": {"human": {"outcome": "handover"}}})
    generated = decide("human", answers=bare)
    assert (generated.texts, generated.outcome) == ((), ReplyOutcome.HANDOVER)


@pytest.mark.parametrize(
    ("probability", "least", "is_sure"),
    [(0.5, None, True), (0.49, None, False), (0.49, 0.4, True), (0.9, 0.91, False), (0.1, 0, True)],
)
def test_the_request_says_how_sure_is_sure_or_else_the_version(
    probability: float, least: float | None, *, is_sure: bool
) -> None:
    found = decide("cancel", probability, least)
    assert (found.outcome is ReplyOutcome.ANSWERED) == is_sure
    assert found.is_fallback != is_sure


@pytest.mark.parametrize(
    ("label", "probability", "text"),
    [
        ("cancel", 0.3, "a cancellation or a refund?"),
        ("refund", 0.3, "a refund or a cancellation?"),
        ("chat", 0.9, "a cancellation or a refund?"),  # it has no title, and is not offered
    ],
)
def test_the_fallback_offers_the_two_most_probable_labels_with_titles(
    label: str, probability: float, text: str
) -> None:
    found = decide(label, probability)
    assert (found.outcome, found.source) == (ReplyOutcome.UNSURE, Outcome.FALLBACK)
    assert found.values is not None
    assert FillIn(found.values, is_vetted=True).push(found.texts[0], is_last=True) == text


def test_without_a_classifier_nothing_is_known() -> None:
    found = understand(None, ANSWERS, Values(ANSWERS), None)
    assert (found.classification, found.texts) == (None, ())
    assert found.values is not None  # what the model writes is filled in all the same


def request(seed: int, prompt: int = 1, resume_ids: tuple[int, ...] = ()) -> GenerationRequest:
    return GenerationRequest((prompt,), SamplingParams(seed=seed), 8, resume_ids=resume_ids)


def test_seed_and_prompt_choose_the_variant(tiny: LoadedModel) -> None:
    def texts(prompt: int) -> list[str]:
        found = decide("cancel")
        return [own_reply(found, request(seed, prompt), tiny.bundle).text for seed in range(30)]

    assert set(texts(1)) == {"one", "two", "three"}
    assert texts(1) == texts(1) != texts(2)


def test_an_own_answer_goes_out_as_it_is_written(tiny: LoadedModel) -> None:
    text = "  Call +49 30 1234567\tor  mail a@b.org 😊 now.\n\nBye "
    reply = own_reply(Understood(texts=(text,)), request(1), tiny.bundle)
    assert reply.text == text
    assert reply.is_consistent
    assert reply.token_ids[-1] == tiny.bundle.template.end_id
    assert reply.reason is FinishReason.END_OF_TEXT
    whole = "".join(reply.cut(n, n + 1).text for n in range(len(reply.token_ids)))
    assert whole == text


def test_an_own_answer_goes_on_only_after_its_own_tokens(tiny: LoadedModel) -> None:
    found = decide("human")
    whole = own_reply(found, request(1), tiny.bundle)
    for count in range(len(whole.token_ids)):
        own_reply(found, request(1, resume_ids=whole.token_ids[:count]), tiny.bundle)
    for wrong in (whole.token_ids, (*whole.token_ids[:2], 0)):
        with pytest.raises(ResumeMismatchError):
            own_reply(found, request(1, resume_ids=wrong), tiny.bundle)
