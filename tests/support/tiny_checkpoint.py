"""A real small model version, made in seconds by the code that makes the big ones.

The text is written here and read by a recipe: English, Chinese and emoji, so that replies vary,
end, and hold characters of several bytes.
"""

# ruff: noqa: RUF001 - Chinese punctuation is meant

from __future__ import annotations

import csv
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lstmserve_training.describe import Publication
from lstmserve_training.documents import load_corpus
from lstmserve_training.evaluate import evaluate
from lstmserve_training.export import quantize_best
from lstmserve_training.model import ModelConfig
from lstmserve_training.prepare import prepare
from lstmserve_training.publish import publish
from lstmserve_training.recipe.reading import check
from lstmserve_training.recipe.schema import Recipe
from lstmserve_training.speed import one_thread
from lstmserve_training.train import Trainer
from lstmserve_training.work import CORPUS_NAME, read_tokenizer

VOCABULARY = 448
MASKED = ["links", "emails", "numbers"]

FIXED_REPLIES = {
    "track_order": "请稍等，您的包裹正在路上 🚚。",
    "say_hello": "你好 👋！请问有什么可以帮您？",
    "give_praise": "非常感谢您的好评！❤️",
}
VARIED_REPLIES = {
    "track_order": (
        "Your parcel is on its way 📦.",
        "It will be with you in two days 🚚. Have a nice day!",
        "Let me check. The parcel left our store this morning, so it is on its way.",
    ),
    "say_hello": (
        "Hello! How may I help you today?",
        "Good morning 😊! What may I do for you?",
    ),
    "give_praise": (
        "Thank you so much! 🎉 It means a lot to us.",
        "We are happy that you like it 😊.",
    ),
}
QUESTIONS = {
    "track_order": ("where is my parcel", "我的包裹在哪里", "track my order {}", "包裹 {} 到了吗"),
    "say_hello": ("hello", "good morning", "你好", "hi {} 👋"),
    "give_praise": ("great service 👍", "太棒了", "i love order {}", "thanks a lot ❤️"),
}
OPENINGS = ("my {} is late", "the {} is broken 😡", "i want to return the {}", "我的{}坏了")
THINGS = ("lamp", "shoes", "coat", "phone", "chair", "茶杯", "雨伞", "键盘", "书", "radio")
APOLOGIES = ("I am sorry to hear that 😔.", "非常抱歉给您带来不便。", "Oh no! Let me check.")
OFFERS = ("We will send a new one today 🎁.", "我们马上为您退款。", "A refund is on its way 💳.")
THANKS = ("thank you", "谢谢 😊", "ok, how long does it take?", "great 👍")
ENDINGS = ("You are welcome! 😊", "不客气，祝您生活愉快！", "Two days at most. Have a nice day 🌞!")

CHATS, QUESTIONS_FILE, FIXED, VARIED = "chats.jsonl", "questions.csv", "fixed.csv", "varied.csv"
ASKED = {"prompt": "utterance", "label": "intent"}
ANSWERED = {"reply": "response", "label": "intent"}
TINY: dict[str, Any] = {
    "name": "tiny",
    "kind": "conversations",
    "description": "A toy for tests: a few words of customer service, English and Chinese.",
    "license": "Apache-2.0",
    "sources": [
        {"name": "chats", "files": [CHATS], "columns": {"turns": "turns"}, "opening_weight": 0.1},
        {
            "name": "asked",
            "kind": "replies",
            "repeat": 3,
            "files": [QUESTIONS_FILE],
            "columns": ASKED,
        },
        {
            "name": "asked again",
            "kind": "replies",
            "use": "validation",
            "files": ["validation.csv"],
            "columns": ASKED,
        },
        {
            "name": "fixed",
            "kind": "replies",
            "use": "reply-pool",
            "weight": 0.3,
            "files": [FIXED],
            "columns": ANSWERED,
        },
        {
            "name": "varied",
            "kind": "replies",
            "use": "reply-pool",
            "weight": 0.7,
            "files": [VARIED],
            "columns": ANSWERED,
        },
    ],
    "tokenizer": {"vocabulary": VOCABULARY, "normalize": "NFC", "mask": MASKED},
    "training": {"rows": 32, "learning_rate": 0.02, "warm_up_steps": 10, "label_weight": 8.0},
    "augmentation": {"variants": 6, "typos": 0.2, "greetings": ["hi", "hello"], "recase": True},
    "evaluation": {"replies": 8, "speed_seconds": 0.005},
    "sampling": {"max_tokens": 48},
    "limits": {"max_prompt_tokens": 256, "max_tokens": 512},
}


def make_tiny_checkpoint(
    store: Path,
    name: str = "tiny",
    version: int = 1,
    *,
    hidden: int = 64,
    epochs: int = 14,
    seed: int = 1,
) -> Path:
    """Publish a small trained model; the same arguments give the same weights."""
    recipe = tiny_recipe(name, hidden, epochs, seed)
    with tempfile.TemporaryDirectory() as folder, one_thread():
        data, work = Path(folder, "data"), Path(folder, "tiny")
        write_tiny_data(data)
        prepare(recipe, data, work)
        train_tiny(recipe, work)
        quantize_best(work)
        evaluate(recipe, work)
        return publish(Publication(recipe, work, store, version, "make_tiny_checkpoint"))


def tiny_recipe(name: str, hidden: int = 64, epochs: int = 14, seed: int = 1) -> Recipe:
    """The recipe of a tiny model, of the text that ``write_tiny_data`` writes."""
    training = {**TINY["training"], "epochs": epochs, "patience": epochs}
    model = {"hidden": hidden, "layers": 2, "dropout": 0.1}
    return check({**TINY, "name": name, "seed": seed, "model": model, "training": training}, "tiny")


def train_tiny(recipe: Recipe, work: Path) -> None:
    sizes = recipe.model
    num_tokens = read_tokenizer(work).num_tokens
    model = ModelConfig(num_tokens, sizes.hidden, sizes.layers, sizes.dropout)
    corpus = load_corpus(work / CORPUS_NAME)
    Trainer(model, recipe.training, recipe.seed, corpus, work, "cpu").run(Silence())


class Silence:
    """A reporter that says nothing."""

    def step(self, facts: object) -> None:
        pass

    def epoch(self, epoch: int, step: int, measures: object, samples: object) -> None:
        pass


def write_tiny_data(data: Path) -> None:
    """Write the text above as the recipe reads it."""
    data.mkdir(parents=True, exist_ok=True)
    chats = [json.dumps({"turns": turns}, ensure_ascii=False) for turns in _chats()]
    (data / CHATS).write_text("\n".join(chats), encoding="utf-8")
    varied = [(intent, text) for intent, texts in VARIED_REPLIES.items() for text in texts]
    asked = list(_questions())
    _write_rows(data / FIXED, ("intent", "response"), list(FIXED_REPLIES.items()))
    _write_rows(data / VARIED, ("intent", "response"), varied)
    _write_rows(data / QUESTIONS_FILE, ("utterance", "intent"), asked)
    _write_rows(data / "validation.csv", ("utterance", "intent"), asked[::5])


def _write_rows(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def _questions() -> Iterator[tuple[str, str]]:
    for intent, questions in QUESTIONS.items():
        for number in range(5):
            yield from ((question.format(12340 + number), intent) for question in questions)


def _chats() -> Iterator[list[dict[str, str]]]:
    rng = random.Random(0)
    for opening in OPENINGS:
        for thing in THINGS:
            said = [opening.format(thing), f"{rng.choice(APOLOGIES)} {rng.choice(OFFERS)}"]
            said += [rng.choice(THANKS), rng.choice(ENDINGS)]
            roles = ("user", "agent") * 2
            yield [{"role": role, "content": text} for role, text in zip(roles, said, strict=True)]
