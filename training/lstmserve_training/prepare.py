"""The verb ``prepare``: from public data sets to a tokenizer and token documents."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from lstmserve_bundle.manifest import ROW_STEP, TemplateManifest
from lstmserve_bundle.template import PromptTemplate
from lstmserve_bundle.template import Turn as TemplateTurn
from lstmserve_bundle.tokenizer import Tokenizer
from lstmserve_training import support
from lstmserve_training.documents import Corpus, Document, save_corpus
from lstmserve_training.errors import DataError
from lstmserve_training.support import Chat, Question, Turn
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

ROLE_TOKENS = {"user": "<|user|>", "agent": "<|agent|>"}
END_TOKEN = "<|end|>"  # noqa: S105  # a token of text, not of access
NUM_VARIANTS = 6
FIXED_REPLY_SHARE = 0.3

# One intent token stands against some forty reply tokens, and decides what they say.
INTENT_WEIGHT = 8.0
# A chat's first reply carries no intent token, but is hardly evidence that there is none.
FIRST_CHAT_REPLY_WEIGHT = 0.1

OpeningWeight = Callable[[Chat, Turn], float]


def intent_token(intent: str) -> str:
    return f"<|intent:{intent}|>"


def make_template(intents: Iterable[str]) -> TemplateManifest:
    labels = {intent_token(intent): f"intent:{intent}" for intent in intents}
    return TemplateManifest(
        role_tokens=ROLE_TOKENS, reply_role="agent", end_token=END_TOKEN, labels=labels
    )


def training_weight(chat: Chat, turn: Turn) -> float:
    """The loss weight of the first word of a reply that has no intent token before it."""
    if any(other.intent for other in chat):
        return 0.0  # the token was left out on purpose; the words are no alternative to it
    first_reply = next(other for other in chat if other.role == "agent")
    return FIRST_CHAT_REPLY_WEIGHT if turn is first_reply else 1.0


def evaluation_weight(_chat: Chat, _turn: Turn) -> float:
    """Held-out text is counted whole."""
    return 1.0


class Encoder:
    """Turns chats into documents by the very template the server uses."""

    def __init__(self, template: TemplateManifest, tokenizer: Tokenizer) -> None:
        self._template = PromptTemplate(template, tokenizer)
        self._tokenizer = tokenizer

    def encode(self, chat: Chat, opening_weight: OpeningWeight) -> Document:
        """Turn markers are given, never predicted: their weight is 0."""
        document = Document([], [])
        for turn in chat:
            marker, *words = self._template.render_turn(TemplateTurn(turn.role, turn.text))
            weights = [1.0] * len(words)
            if turn.intent:
                words.insert(0, self._tokenizer.special_id(intent_token(turn.intent)))
                weights.insert(0, INTENT_WEIGHT)
            elif turn.role == "agent":
                weights[0] = opening_weight(chat, turn)
            document.token_ids.extend([marker, *words])
            document.weights.extend([0.0, *weights])
        return document


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
    rng = random.Random(seed)
    chats = support.read_chats(data)
    training_chats = [chat for chat in chats if not support.is_held_out(chat)]
    questions = support.read_questions(data, support.QUESTIONS)
    intents = {question.intent for question in questions}
    asked = [*questions, *support.read_phrasings(intents)]
    variants = [
        list(support.answer_questions(asked, data, fixed_reply_share, rng))
        for _ in range(NUM_VARIANTS)
    ]

    out.mkdir(parents=True, exist_ok=True)
    template = make_template(sorted(intents))
    (out / TEMPLATE_NAME).write_text(template.model_dump_json(indent=2))
    if tokenizer_of is None:
        tokenizer = _make_tokenizer([*training_chats, *variants[0]], template, num_tokens, out)
    else:
        shutil.copy(require(tokenizer_of, TOKENIZER_NAME), out)
        tokenizer = read_tokenizer(out)

    encoder = Encoder(template, tokenizer)
    validation = support.read_questions(data, support.VALIDATION)
    corpus = Corpus(
        parts=[
            [encoder.encode(chat, training_weight) for chat in part]
            for part in [training_chats, *variants]
        ],
        held_out_chats=[
            encoder.encode(chat, evaluation_weight) for chat in chats if support.is_held_out(chat)
        ],
        held_out_answers=[
            encoder.encode(chat, training_weight)
            for chat in support.answer_questions(validation, data, fixed_reply_share, rng)
        ],
    )
    if not corpus.held_out_chats:
        raise DataError(f"{data / support.CHATS}: too few chats, none of them is held out")
    save_corpus(corpus, out / CORPUS_NAME)
    _write_questions(validation, out)
    settings = {
        "vocabulary": num_tokens,
        "seed": seed,
        "fixed_reply_share": fixed_reply_share,
        "tokenizer_of": str(tokenizer_of or ""),
    }
    (out / PREPARATION_NAME).write_text(json.dumps(settings))


def _make_tokenizer(
    chats: Sequence[Chat], template: TemplateManifest, num_tokens: int, out: Path
) -> Tokenizer:
    special = [*template.role_tokens.values(), template.end_token, *template.labels]
    texts = (turn.text for chat in chats for turn in chat)
    backend = train_tokenizer(texts, num_tokens, special)
    found = backend.get_vocab_size(with_added_tokens=True)
    if found != num_tokens:
        raise DataError(f"the text is enough for {found} tokens only: lower --vocabulary")
    backend.save(str(out / TOKENIZER_NAME))
    return Tokenizer(backend)


def _write_questions(questions: Sequence[Question], out: Path) -> None:
    rows = [{"text": question.text, "intent": question.intent} for question in questions]
    (out / QUESTIONS_NAME).write_text(json.dumps(rows, indent=1), encoding="utf-8")


def read_tokenizer(work: Path) -> Tokenizer:
    """The tokenizer that ``prepare`` wrote."""
    return Tokenizer.from_file(require(work, TOKENIZER_NAME))


def read_template(work: Path) -> TemplateManifest:
    """The template that ``prepare`` wrote."""
    return TemplateManifest.model_validate_json(require(work, TEMPLATE_NAME).read_text())


def never_tokens(template: TemplateManifest, tokenizer: Tokenizer) -> list[int]:
    """The tokens that no reply may contain: turn markers, and nothing else."""
    return [tokenizer.special_id(token) for token in template.role_tokens.values()]


def read_questions(work: Path) -> list[Question]:
    """The validation questions that ``prepare`` wrote, with their intents."""
    rows = json.loads(require(work, QUESTIONS_NAME).read_text(encoding="utf-8"))
    return [Question(**row) for row in rows]
