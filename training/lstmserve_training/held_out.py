"""The text that no weight has seen, ready to be measured."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lstmserve_bundle.template import PromptTemplate
from lstmserve_training.documents import Document, load_corpus
from lstmserve_training.encoding import intent_token
from lstmserve_training.prepared import read_questions, read_template
from lstmserve_training.support import Question, read_unseen_questions
from lstmserve_training.work import CORPUS_NAME, require

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lstmserve_bundle.tokenizer import Tokenizer


@dataclass(frozen=True)
class AskedIntents:
    """Prompts, and the intent token that is right for each."""

    prompts: list[list[int]]
    right: list[int]


@dataclass(frozen=True)
class HeldOut:
    """Everything held out, as token ids; ``intents`` are all intent tokens."""

    chats: list[Document]
    answers: list[Document]
    questions: AskedIntents
    unseen_questions: AskedIntents
    sampled_questions: list[list[int]]
    sampled_contexts: list[list[int]]
    intents: list[int]
    role_ids: frozenset[int]
    reply_id: int
    end_id: int


def read_held_out(
    work: Path, tokenizer: Tokenizer, num_questions: int, num_contexts: int, seed: int
) -> HeldOut:
    """The held-out text of a run, with seeded samples of prompts to reply to."""
    corpus = load_corpus(require(work, CORPUS_NAME))
    manifest = read_template(work)
    template = PromptTemplate(manifest, tokenizer)

    def ask(questions: Sequence[Question]) -> AskedIntents:
        return AskedIntents(
            [template.render_prompt(question.text) for question in questions],
            [tokenizer.special_id(intent_token(question.intent)) for question in questions],
        )

    questions = ask(read_questions(work))
    intents = {label.removeprefix("intent:") for label in manifest.labels.values()}
    reply_id = tokenizer.special_id(manifest.role_tokens[manifest.reply_role])
    rng = random.Random(seed)
    return HeldOut(
        corpus.held_out_chats,
        corpus.held_out_answers,
        questions,
        ask(read_unseen_questions(intents)),
        sampled_questions=_sample(questions.prompts, num_questions, rng),
        sampled_contexts=_sample(contexts(corpus.held_out_chats, reply_id), num_contexts, rng),
        intents=list(template.label_of_id),
        role_ids=frozenset(map(tokenizer.special_id, manifest.role_tokens.values())),
        reply_id=reply_id,
        end_id=template.end_id,
    )


def contexts(chats: Sequence[Document], reply_id: int) -> list[list[int]]:
    """Every beginning of a chat after which the replying role speaks."""
    return [
        chat.token_ids[: at + 1]
        for chat in chats
        for at, token_id in enumerate(chat.token_ids)
        if token_id == reply_id
    ]


def _sample(prompts: Sequence[list[int]], count: int, rng: random.Random) -> list[list[int]]:
    return rng.sample(prompts, min(count, len(prompts)))
