"""The verb ``prepare``: from public data sets to a tokenizer and token documents."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lstmserve_bundle.manifest import ROW_STEP, TemplateManifest
from lstmserve_bundle.tokenizer import Tokenizer
from lstmserve_training import support
from lstmserve_training.documents import Corpus, save_corpus
from lstmserve_training.encoding import Encoder, evaluation_weight, make_template, training_weight
from lstmserve_training.errors import DataError
from lstmserve_training.prepared import read_tokenizer
from lstmserve_training.support import Chat, Question
from lstmserve_training.tokenizer import train_tokenizer
from lstmserve_training.work import (
    CORPUS_NAME,
    LAST_NAME,
    PREPARATION_NAME,
    QUESTIONS_NAME,
    TEMPLATE_NAME,
    TOKENIZER_NAME,
    require,
)

if TYPE_CHECKING:
    from pathlib import Path

NUM_VARIANTS = 6
FIXED_REPLY_SHARE = 0.3


@dataclass(frozen=True)
class Texts:
    """The public text of a recipe, sorted by what it is for."""

    intents: list[str]
    training_chats: list[Chat]
    variants: list[list[Chat]]  # the same questions, asked and answered differently
    held_out_chats: list[Chat]
    held_out_questions: list[Question]
    held_out_answers: list[Chat]


def prepare(
    data: Path,
    out: Path,
    num_tokens: int,
    seed: int,
    fixed_reply_share: float = FIXED_REPLY_SHARE,
    tokenizer_of: Path | None = None,
) -> None:
    """Write tokenizer, template, corpus and validation questions into ``out``.

    ``tokenizer_of`` is the folder of a run whose tokenizer is to be used again.

    Raises DataError when ``out`` holds checkpoints: they belong to the corpus that is there.
    """
    if (out / LAST_NAME).exists():
        raise DataError(f"{out} holds checkpoints of another corpus: use another folder")
    if num_tokens % ROW_STEP:
        raise DataError(f"--vocabulary is {num_tokens}: it must be a multiple of {ROW_STEP}")
    texts = _read_texts(data, fixed_reply_share, random.Random(seed))
    out.mkdir(parents=True, exist_ok=True)
    template = make_template(texts.intents)
    (out / TEMPLATE_NAME).write_text(template.model_dump_json(indent=2))
    if tokenizer_of is None:
        tokenizer = _make_tokenizer(texts, template, num_tokens, out)
    else:
        shutil.copy(require(tokenizer_of, TOKENIZER_NAME), out)
        tokenizer = read_tokenizer(out)
    save_corpus(_make_corpus(texts, Encoder(template, tokenizer)), out / CORPUS_NAME)
    _write_questions(texts.held_out_questions, out)
    settings = {
        "vocabulary": num_tokens,
        "seed": seed,
        "fixed_reply_share": fixed_reply_share,
        "tokenizer_of": str(tokenizer_of or ""),
    }
    (out / PREPARATION_NAME).write_text(json.dumps(settings))


def _read_texts(data: Path, fixed_reply_share: float, rng: random.Random) -> Texts:
    chats = support.read_chats(data)
    held_out_chats = [chat for chat in chats if support.is_held_out(chat)]
    if not held_out_chats:
        raise DataError(f"{data / support.CHATS}: too few chats, none of them is held out")
    questions = support.read_questions(data, support.QUESTIONS)
    intents = {question.intent for question in questions}
    asked = [*questions, *support.read_phrasings(intents)]
    validation = support.read_questions(data, support.VALIDATION)

    def answer(questions: Sequence[Question]) -> list[Chat]:
        return list(support.answer_questions(questions, data, fixed_reply_share, rng))

    return Texts(
        intents=sorted(intents),
        training_chats=[chat for chat in chats if not support.is_held_out(chat)],
        variants=[answer(asked) for _ in range(NUM_VARIANTS)],
        held_out_chats=held_out_chats,
        held_out_questions=validation,
        held_out_answers=answer(validation),
    )


def _make_corpus(texts: Texts, encoder: Encoder) -> Corpus:
    return Corpus(
        parts=[
            [encoder.encode(chat, training_weight) for chat in part]
            for part in (texts.training_chats, *texts.variants)
        ],
        held_out_chats=[encoder.encode(chat, evaluation_weight) for chat in texts.held_out_chats],
        held_out_answers=[encoder.encode(chat, training_weight) for chat in texts.held_out_answers],
    )


def _make_tokenizer(
    texts: Texts, template: TemplateManifest, num_tokens: int, out: Path
) -> Tokenizer:
    special = [*template.role_tokens.values(), template.end_token, *template.labels]
    chats = [*texts.training_chats, *texts.variants[0]]
    backend = train_tokenizer((turn.text for chat in chats for turn in chat), num_tokens, special)
    found = backend.get_vocab_size(with_added_tokens=True)
    if found != num_tokens:
        raise DataError(f"the text is enough for {found} tokens only: lower --vocabulary")
    backend.save(str(out / TOKENIZER_NAME))
    return Tokenizer(backend)


def _write_questions(questions: Sequence[Question], out: Path) -> None:
    rows = [{"text": question.text, "intent": question.intent} for question in questions]
    (out / QUESTIONS_NAME).write_text(json.dumps(rows, indent=1), encoding="utf-8")
