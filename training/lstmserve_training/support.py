"""The recipe of ``support-en``: two public support sets as training documents.

A document is a conversation in the model's template. Questions of the intent set carry
an intent token before their reply, so that the model first names what is asked and
then answers it; the shop chats carry none and teach the model how a chat goes on.

The intent set words its questions by a few patterns. ``phrasings.json``, written for this
project, asks for the same intents in other words; ``unseen_questions.json``, written by
someone who had not read it, measures how well that carries over and is never trained on.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from lstmserve_training.cleaning import clean
from lstmserve_training.errors import DataError, MissingInputError
from lstmserve_training.roughen import chance, roughen

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

CHATS = "cucom-ecommerce/conversations.jsonl.gz"
FIXED = "bitext-support/Bitext_Sample_Customer_Support_Training_Dataset.bc499b9-fixed-replies.csv"
VARIED = "bitext-support/Bitext_Sample_Customer_Support_Training_Dataset.csv"
QUESTIONS = "bitext-intents/Bitext_Sample_Customer_Service_Training_Dataset.csv"
VALIDATION = "bitext-intents/Bitext_Sample_Customer_Service_Validation_Dataset.csv"

PHRASINGS = "phrasings.json"
UNSEEN = "unseen_questions.json"
PHRASING_REPEATS = 2  # few and varied, they weigh as much as a third of the patterned questions

HELD_OUT_CHATS = 0.05
MAX_REPLY_WORDS = 60
REPLIES_WITH_TWO_TURNS = 0.15


@dataclass(frozen=True)
class Turn:
    """One turn; ``intent`` is set where the reply is to begin with an intent token."""

    role: str
    text: str
    intent: str | None = None


Chat = tuple[Turn, ...]


@dataclass(frozen=True)
class Question:
    text: str
    intent: str


# --- chats ---------------------------------------------------------------------------


def read_chats(data: Path) -> list[Chat]:
    """The shop chats, cleaned; roles are spelled ``user`` and ``agent``."""
    with gzip.open(_require(data, CHATS), "rt", encoding="utf-8") as lines:
        chats = [_read_chat(json.loads(line)["turns"]) for line in lines]
    return [chat for chat in chats if len(chat) > 1]


def _read_chat(turns: list[dict[str, str]]) -> Chat:
    cleaned = (Turn(turn["role"].lower(), clean(turn["content"])) for turn in turns)
    return tuple(turn for turn in cleaned if turn.text)


def is_held_out(chat: Chat) -> bool:
    """Whether a chat is kept for evaluation: decided by its text, so copies go together."""
    digest = hashlib.sha256(chat[0].text.lower().encode()).digest()
    return int.from_bytes(digest[:4]) / 2**32 < HELD_OUT_CHATS


# --- questions and replies -----------------------------------------------------------


def read_questions(data: Path, file: str) -> list[Question]:
    rows = _read_rows(data, file, ("utterance", "intent"))
    return [Question(clean(row["utterance"]), row["intent"]) for row in rows]


def read_phrasings(intents: Collection[str]) -> list[Question]:
    """This project's own phrasings of those intents, as often as they are to be trained on."""
    by_intent = json.loads(_own_data(PHRASINGS))
    return [
        Question(clean(text), intent)
        for intent in sorted(by_intent.keys() & intents)
        for text in by_intent[intent] * PHRASING_REPEATS
    ]


def read_unseen_questions(intents: Collection[str]) -> list[Question]:
    """Questions of those intents in words that training has not seen."""
    rows = json.loads(_own_data(UNSEEN))
    return [Question(row["text"], row["intent"]) for row in rows if row["intent"] in intents]


def _own_data(name: str) -> str:
    return files("lstmserve_training").joinpath(name).read_text(encoding="utf-8")


def read_replies(data: Path) -> tuple[dict[str, str], dict[str, list[str]], dict[str, str]]:
    """Fixed reply by intent, varied replies by intent, and varied reply by question."""
    rows = _read_rows(data, FIXED, ("intent", "response"))
    fixed = {row["intent"]: clean(row["response"]) for row in rows}
    varied: dict[str, list[str]] = defaultdict(list)
    own: dict[str, str] = {}
    for row in _read_rows(data, VARIED, ("instruction", "intent", "response")):
        reply = shorten_reply(row["response"])
        if not reply:
            continue
        own[clean(row["instruction"])] = reply
        if not re.search(r"\d|\[", reply):  # an amount or a number fits its own question only
            varied[row["intent"]].append(reply)
    return fixed, varied, own


def _read_rows(data: Path, file: str, columns: Sequence[str]) -> list[dict[str, str]]:
    with _require(data, file).open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    missing = [column for column in columns if not rows or column not in rows[0]]
    if missing:
        raise DataError(f"{data / file}: no column {', '.join(missing)}, or no row at all")
    return rows


def _require(data: Path, file: str) -> Path:
    if not (data / file).is_file():
        raise MissingInputError(f"{data / file} is missing: --data must hold the public data sets")
    return data / file


# what is not closed is found as well, so that it is read once, and left alone
PLACEHOLDER = re.compile(r"\{\{([^}]*+)(\}\})?")
_STEP = re.compile(r"^\s*(?:\d+[.)]|[-*•])\s*")
_STORE_PLACE = re.compile(
    r"\b(?:(?:our|the|your|my) )?\{\{\s*(?:website|company|store|app|site)[^}]*+(\}\})?",
    re.IGNORECASE,
)
# a sentence that needs one of these says nothing without it
_CONTACT = re.compile(
    r"phone|number|hours|availab|e-?mail|url|link|anonymi|date|amount|days|\d|toll|name|\[",
    re.IGNORECASE,
)


def shorten_reply(response: str) -> str:
    """The first sentences of a reply and its first steps, as one paragraph.

    Placeholders become plain words; a sentence whose point is a placeholder (a phone
    number, opening hours) is dropped. Empty when nothing worth saying remains.
    """
    sentences = [text for line in response.splitlines() for text in _sentences(line)]
    kept: list[str] = []
    for sentence in sentences:
        if len(" ".join([*kept, sentence]).split()) > MAX_REPLY_WORDS:
            break
        kept.append(sentence)
    return " ".join(kept)


def _sentences(line: str) -> Iterator[str]:
    line = _STEP.sub("", line.replace("**", "").strip())
    line = replace_store(line).replace("our website account", "your account")
    for sentence in re.split(r"(?<=[.!?])\s+", line):
        if not sentence.endswith((".", "!", "?")):  # a heading, or a bullet of a few words
            continue
        places = [found[1] for found in PLACEHOLDER.finditer(sentence) if found[2]]
        if any(map(_CONTACT.search, places)) or "[" in sentence:
            continue
        yield clean(PLACEHOLDER.sub(quote_placeholder, sentence))


def replace_store(line: str) -> str:
    """``line`` with placeholders for the shop's own pages as words."""
    return _STORE_PLACE.sub(lambda found: "our website" if found[1] else found[0], line)


def quote_placeholder(found: re.Match[str]) -> str:
    """What a match of PLACEHOLDER becomes."""
    return f"'{found[1].strip()}'" if found[2] else found[0]


# --- questions answered ---------------------------------------------------------------


def answer_questions(
    questions: Sequence[Question], data: Path, fixed_reply_share: float, rng: random.Random
) -> Iterator[Chat]:
    """Every question once, roughened, with its intent and a reply of that intent.

    The higher the share of fixed replies, the surer a greedy reply is the short, right one.
    """
    fixed, varied, own = read_replies(data)
    by_intent: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        by_intent[question.intent].append(question)

    def reply(question: Question) -> str:
        if chance(rng, fixed_reply_share):
            return fixed[question.intent]
        return own.get(question.text) or rng.choice(varied[question.intent])

    for question in questions:
        turns: list[Turn] = []
        if chance(rng, REPLIES_WITH_TWO_TURNS):
            # an earlier exchange, read back as the server would: without its intent token
            earlier = rng.choice(questions)
            turns = [Turn("user", roughen(earlier.text, rng)), Turn("agent", reply(earlier))]
        turns.append(Turn("user", roughen(question.text, rng)))
        turns.append(Turn("agent", reply(question), intent=question.intent))
        yield tuple(turns)
