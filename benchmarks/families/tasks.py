"""Tasks whose answer stands in the question: summaries and translations, by the served module.

Each is a recipe of kind `replies`. What is held out is asked for greedily, token by token, of the
module that a server would load.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from benchmarks.families.networks import DIALOGUE_NETWORKS
from benchmarks.families.scores import Interval, score
from benchmarks.families.training import Trained, train_network
from lstmserve_bundle.template import PromptTemplate, Turn
from lstmserve_training.checkpoint import load_best
from lstmserve_training.export import load_module
from lstmserve_training.replies import NEVER, sample_replies
from lstmserve_training.speed import one_thread
from lstmserve_training.work import MODEL_NAME, PROMPTS_NAME, read_template, read_tokenizer

REPLIES_NAME = "replies.json"
REPLY_TOKENS = 48
FAMILIES = ("stacked", "attentive", "transformer")  # without attention, with it, of it alone


@dataclass(frozen=True)
class Outcome:
    """What a network replied to what was held out, and how near that is to what was wanted."""

    parameters: int
    tokens_seen: int
    seconds: int
    scores: dict[str, Interval]


def compare_on_task(
    name: str, folder: Path, families: Sequence[str] = (), keys: Sequence[str] = ()
) -> dict[str, Outcome]:
    """Train families on a task whose tables lie in ``folder``, and ask what is held out."""
    found = {}
    for family in families or FAMILIES:
        trained = train_network(name, folder, family, (*DIALOGUE_NETWORKS[family], *keys))
        checkpoint = load_best(trained.work)
        found[family] = Outcome(
            sum(each.numel() for each in checkpoint.model.parameters()),
            checkpoint.progress.tokens,
            round(checkpoint.progress.seconds),
            score(*ask_held_out(trained)),
        )
    return found


def ask_held_out(trained: Trained) -> tuple[list[str], list[str]]:
    """Return what the served module replies, and what was wanted; both are kept in the folder."""
    tokenizer = read_tokenizer(trained.work)
    template = PromptTemplate(read_template(trained.work), tokenizer)
    asked = json.loads((trained.work / PROMPTS_NAME).read_text(encoding="utf-8"))
    prompts = [template.render_conversation([Turn(*each["turns"][0])]) for each in asked]
    module = load_module(trained.work / MODEL_NAME)
    with one_thread():
        token_ids = sample_replies(
            module, prompts, template.end_id, REPLY_TOKENS, 0, adjust=choose_likeliest
        )
    labels = template.label_of_id.keys()
    words = [[token for token in row if token not in labels] for row in token_ids]
    replies = [tokenizer.decode(row).strip() for row in words]
    wanted = [each["turns"][1][1] for each in asked]
    rows = [{"reply": a, "wanted": b} for a, b in zip(replies, wanted, strict=True)]
    (trained.work / REPLIES_NAME).write_text(
        json.dumps(rows, indent=1, ensure_ascii=False), encoding="utf-8"
    )
    return replies, wanted


def choose_likeliest(logits: Tensor) -> Tensor:
    """Logits [rows, tokens] that leave the likeliest token alone."""
    return logits.masked_fill(logits < logits.amax(1, keepdim=True), NEVER)
