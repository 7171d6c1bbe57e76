"""A version that knows what is asked, and has words of its own for it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from lstmserve_bundle.answers import ANSWERS_NAME, parse_answers, write_answers
from lstmserve_bundle.bundle import describe_file
from lstmserve_bundle.classifier_file import CLASSIFIER_NAME
from lstmserve_bundle.faq import FAQ_NAME, Faq, FaqEntry
from lstmserve_bundle.manifest import read_manifest
from support.classifiers import make_file
from support.stores import copy_version, edit_manifest

# what questions with "cancel", with "refund" and all others are about
TRACK, HELLO, PRAISE = "intent:track_order", "intent:say_hello", "intent:give_praise"
LABELS = (TRACK, HELLO, PRAISE)
OWN = (
    "Good to see you, {{name}}! Your order {{order_number}} is being packed. Anything else?",
    "Welcome back. We write to {{email}} once it leaves. Call {{phone}} for more.",
)
UNSURE = "I did not get that. Is it about {{first_choice}} or {{second_choice}}?"
# the tiny model's own words stand for what larger models write; hardly a reply has none of them
SPELLINGS = ["parcel", "包裹", "you", "您"]
QUESTION = "When is the shop in Bremen open?"
MENTION = "You gave us the address {{email}}."
ANSWERS: dict[str, Any] = {
    "labels": {
        TRACK: {"title": "your parcel", "mentions": [MENTION]},
        HELLO: {"title": "saying hello", "answers": list(OWN)},
        PRAISE: {
            "answers": ["A person will call you."],
            "mentions": ["Your order is {{order_number}}.", MENTION],
            "outcome": "handover",
        },
    },
    "placeholders": {
        "order_number": {"kind": "order_number", "spellings": SPELLINGS},
        "email": {"kind": "email"},
        "name": {"kind": "name"},
        "phone": {"default": "0800 100"},
    },
    "questions": [
        {"question": QUESTION, "answer": "Nine to six, and {{phone}} at any time."},
        {"question": "Do you sell bulbs?", "answer": "We do."},
    ],
    "fallback": {"answers": [UNSURE], "mentions": ["Your order is {{order_number}}."]},
    "forbidden": ["two days"],
}


def make_understanding_store(
    source: Path, store: Path, answers: dict[str, Any] | None = ANSWERS
) -> Path:
    """Put the version of a folder into a store with a classifier, and with answers if any."""
    folder = copy_version(source, store)
    file = make_file()
    header = file.header.model_copy(update={"labels": list(LABELS), "out_of_scope": [PRAISE]})
    (folder / CLASSIFIER_NAME).write_bytes(replace(file, header=header).to_bytes())
    names = [CLASSIFIER_NAME]
    if answers is not None:
        write_answers(folder / ANSWERS_NAME, parse_answers(json.dumps(answers), "test"))
        names.append(ANSWERS_NAME)
        questions = [FaqEntry(each["question"], each["answer"]) for each in answers["questions"]]
        (folder / FAQ_NAME).write_bytes(Faq.build(questions).to_bytes())
        names.append(FAQ_NAME)
    files = read_manifest(folder).model_dump()["files"]
    edit_manifest(
        folder, files={**files, **{n: describe_file(folder / n).model_dump() for n in names}}
    )
    return store
