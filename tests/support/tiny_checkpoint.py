"""A real small model version, made in seconds by the code that makes the big ones.

The text is written here in the formats of the public data sets: English, Chinese and
emoji, so that replies vary, end, and hold characters of several bytes.
"""

# ruff: noqa: RUF001 - Chinese punctuation is meant

from __future__ import annotations

import csv
import gzip
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from lstmserve_bundle.manifest import DataManifest, LimitsManifest, SamplingManifest
from lstmserve_training import support
from lstmserve_training.card import Card
from lstmserve_training.describe import Publication
from lstmserve_training.documents import load_corpus
from lstmserve_training.evaluate import EvaluateConfig, evaluate
from lstmserve_training.export import quantize_best
from lstmserve_training.model import ModelConfig
from lstmserve_training.prepare import prepare
from lstmserve_training.prepared import read_tokenizer
from lstmserve_training.publish import publish
from lstmserve_training.speed import one_thread
from lstmserve_training.train import TrainConfig, Trainer
from lstmserve_training.work import CORPUS_NAME

VOCABULARY = 448

# "track_order" is an intent of support-en too, so its own phrasings come in as well
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

TINY_CARD = Card(
    description="A toy for tests: a few words of customer service, English and Chinese.",
    license="Apache-2.0",
    data=(DataManifest(name="inline text", source="tests", license="Apache-2.0", use="all of it"),),
    sampling=SamplingManifest(max_tokens=48),
    limits=LimitsManifest(max_prompt_tokens=256, max_tokens=512),
)


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
    with tempfile.TemporaryDirectory() as folder, one_thread():
        data, work = Path(folder, "data"), Path(folder, "tiny")
        write_tiny_data(data)
        prepare(data, work, VOCABULARY, seed)
        train_tiny(work, hidden, epochs, seed)
        quantize_best(work)
        evaluate(work, EvaluateConfig(questions=4, contexts=4, speed_seconds=0.005))
        return publish(Publication(work, store, name, version, TINY_CARD))


def train_tiny(work: Path, hidden: int, epochs: int, seed: int) -> None:
    model = ModelConfig(read_tokenizer(work).num_tokens, hidden, layers=2, dropout=0.1)
    config = TrainConfig(
        epochs, rows=32, peak_learning_rate=0.02, warm_up_steps=10, patience=epochs, seed=seed
    )
    Trainer(model, config, load_corpus(work / CORPUS_NAME), work, "cpu").run(Silence())


class Silence:
    """A reporter that says nothing."""

    def step(self, step: int, total: int, epoch: int, loss: float) -> None:
        pass

    def epoch(self, epoch: int, measures: object) -> None:
        pass


def write_tiny_data(data: Path) -> None:
    """Write the text above as the public data sets lay theirs out."""
    chats = [json.dumps({"turns": turns}, ensure_ascii=False) for turns in _chats()]
    for file in (support.CHATS, support.FIXED, support.QUESTIONS):
        (data / file).parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(data / support.CHATS, "wt", encoding="utf-8") as lines:
        lines.write("\n".join(chats))
    fixed = list(FIXED_REPLIES.items())
    varied = [("?", intent, text) for intent, texts in VARIED_REPLIES.items() for text in texts]
    _write_rows(data / support.FIXED, ("intent", "response"), fixed)
    _write_rows(data / support.VARIED, ("instruction", "intent", "response"), varied)
    asked = list(_questions())
    _write_rows(data / support.QUESTIONS, ("utterance", "intent"), asked)
    _write_rows(data / support.VALIDATION, ("utterance", "intent"), asked[::5])


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
