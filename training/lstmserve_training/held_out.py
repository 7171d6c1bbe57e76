"""The text that no weight has seen, ready to be measured."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lstmserve_bundle.template import PromptTemplate, Turn
from lstmserve_training.documents import Document, Documents, load_corpus
from lstmserve_training.encoding import label_token
from lstmserve_training.work import CORPUS_NAME, PROMPTS_NAME, read_template, require

if TYPE_CHECKING:
    from pathlib import Path

    from lstmserve_bundle.tokenizer import Tokenizer

QUESTIONS = "questions"
EARLIER = "earlier_"  # before the kind of what a run that is continued held out
BEGINNING = 8  # tokens of a text that the model is to go on with, at most a third of it


@dataclass(frozen=True)
class AskedLabels:
    """Prompts, and the label's token that is right for each."""

    prompts: list[list[int]]
    right: list[int]


@dataclass(frozen=True)
class HeldOut:
    """Everything held out, as token ids; ``labels`` are all labels' tokens."""

    documents: Mapping[str, Documents]  # by kind
    labelled: AskedLabels
    questions: AskedLabels
    earlier: AskedLabels  # of the text of a run that is continued
    sampled: list[list[int]]
    labels: list[int]
    role_ids: frozenset[int]
    reply_id: int | None  # None: the model has no roles
    end_id: int


def read_held_out(
    work: Path, tokenizer: Tokenizer, label_name: str, num_prompts: int, seed: int
) -> HeldOut:
    """The held-out text of a run, with a seeded sample of prompts to reply to."""
    corpus = load_corpus(require(work, CORPUS_NAME))
    manifest = read_template(work)
    template = PromptTemplate(manifest, tokenizer)
    prompts = json.loads(require(work, PROMPTS_NAME).read_text(encoding="utf-8"))

    def ask(entries: Sequence[dict[str, Any]]) -> AskedLabels:
        return AskedLabels(
            [template.render_conversation(_asking(entry)) for entry in entries],
            [tokenizer.special_id(label_token(label_name, entry["label"])) for entry in entries],
        )

    with_label = [entry for entry in prompts if entry["label"]]
    own = [entry for entry in with_label if not entry["kind"].startswith(EARLIER)]
    reply_id = (
        tokenizer.special_id(manifest.role_tokens[manifest.reply_role])
        if template.has_roles
        else None
    )
    found = [
        context
        for documents in corpus.held_out.values()
        for document in documents
        for context in contexts(document, reply_id)
    ]
    return HeldOut(
        corpus.held_out,
        ask([entry for entry in own if entry["kind"] != QUESTIONS]),
        ask([entry for entry in own if entry["kind"] == QUESTIONS]),
        ask([entry for entry in with_label if entry["kind"].startswith(EARLIER)]),
        sampled=random.Random(seed).sample(found, min(num_prompts, len(found))),
        labels=list(template.label_of_id),
        role_ids=frozenset(map(tokenizer.special_id, manifest.role_tokens.values())),
        reply_id=reply_id,
        end_id=template.end_id,
    )


def read_prompts(work: Path, template: PromptTemplate, count: int) -> list[tuple[str, list[int]]]:
    """The first different held-out prompts: as a person reads them, and as token ids."""
    asked: dict[str, list[int]] = {}
    if not template.has_roles:
        asked["(nothing)"] = template.render_prompt("")
    for entry in json.loads(require(work, PROMPTS_NAME).read_text(encoding="utf-8")):
        if len(asked) == count:
            break
        if template.has_roles:
            turns = _asking(entry)
            asked.setdefault(turns[-1].text, template.render_conversation(turns))
        else:
            text = _beginning(entry["turns"][0][1])
            asked.setdefault(text, template.render_prompt(text))
    return list(asked.items())


def contexts(document: Document, reply_id: int | None) -> list[list[int]]:
    """Every beginning after which the replying role speaks; or nothing, and the first words."""
    ids = document.token_ids
    if reply_id is None:
        return [ids[:1], ids[: 1 + min(BEGINNING, (len(ids) - 1) // 3)]]
    return [ids[: at + 1] for at, token_id in enumerate(ids) if token_id == reply_id]


def earlier_name(kind: str) -> str:
    """What a kind of held-out text is called in a run that continues another."""
    return kind if kind.startswith(EARLIER) else EARLIER + kind


def as_earlier(held_out: Mapping[str, Documents]) -> dict[str, Documents]:
    """All that a run has held out, by the names that a run which continues it gives to it."""
    found: dict[str, Documents] = {}
    for kind, documents in held_out.items():
        name = earlier_name(kind)
        found[name] = Documents.pack(itertools.chain(found.get(name, ()), documents))
    return found


def _asking(entry: dict[str, Any]) -> list[Turn]:
    """The turns before the last reply."""
    turns = [Turn(role, text) for role, text in entry["turns"]]
    return turns[:-1] if len(turns) > 1 else turns


def _beginning(text: str) -> str:
    """The first third of a text, up to the end of a word, where it has such."""
    third = text[: max(1, min(40, len(text) // 3))]
    return third.rpartition(" ")[0] or third
