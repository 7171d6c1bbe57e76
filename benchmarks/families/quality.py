"""How well a network of each family foretells held-out text, and what INT8 costs of it.

All networks of a corpus have about as many weights, see the same tokens in the same order, and
learn at the same rates. Each is trained by a recipe, as anybody would, and measured as served.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.families.networks import (
    CHARACTER_NETWORKS,
    DIALOGUE_NETWORKS,
    WORD_NETWORKS,
    Keys,
)
from benchmarks.families.training import Trained, train_network
from lstmserve_training.checkpoint import load_best
from lstmserve_training.encoding import never_tokens
from lstmserve_training.evaluate import measure
from lstmserve_training.export import load_module
from lstmserve_training.held_out import read_held_out
from lstmserve_training.speed import one_thread
from lstmserve_training.stepper import Stepper, make_stepper
from lstmserve_training.work import MODEL_NAME, read_template, read_tokenizer

RESULT_NAME = "quality.json"
Figures = dict[str, float]


@dataclass(frozen=True)
class Corpus:
    """What is trained on it, and which measure of the product's own counts."""

    networks: dict[str, Keys]
    measure: str
    unit: str


CORPORA = {
    "chats": Corpus(DIALOGUE_NETWORKS, "reply_perplexity", "token of a reply"),
    "wikitext-2": Corpus(WORD_NETWORKS, "word_perplexity", "word"),
    "code": Corpus(CHARACTER_NETWORKS, "text_perplexity", "character"),
}


def compare_families(
    name: str, folder: Path, families: Sequence[str] = (), keys: Sequence[str] = ()
) -> dict[str, Figures]:
    """Train and measure families on a corpus whose text lies in ``folder``; none named: all.

    ``keys`` are put in force for all of them. What was measured before is taken from its folder.
    """
    corpus = CORPORA[name]
    found = {}
    for family, own in corpus.networks.items():
        if families and family not in families:
            continue
        trained = train_network(name, folder, family, (*own, *keys))
        found[family] = _read_or_measure(trained, corpus.measure)
    return found


def _read_or_measure(trained: Trained, measure_name: str) -> Figures:
    """Keep the figures beside the module that they are of."""
    path = trained.work / RESULT_NAME
    module_time = (trained.work / MODEL_NAME).stat().st_mtime
    if not path.exists() or path.stat().st_mtime < module_time:
        figures = measure_network(trained, measure_name)
        path.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    found: Figures = json.loads(path.read_text(encoding="utf-8"))
    return found


def measure_network(trained: Trained, measure_name: str) -> Figures:
    """Return the perplexity of the trained network, and of the module that is served."""
    checkpoint = load_best(trained.work)
    never = never_tokens(read_template(trained.work), read_tokenizer(trained.work))
    module = load_module(trained.work / MODEL_NAME)
    fp32 = _measure(make_stepper(checkpoint.model, never), trained, measure_name)
    int8 = _measure(module, trained, measure_name)
    return {
        "parameters": sum(each.numel() for each in checkpoint.model.parameters()),
        "tokens_seen": checkpoint.progress.tokens,
        "seconds": round(checkpoint.progress.seconds),
        "perplexity_fp32": fp32,
        "perplexity_int8": int8,
        "int8_loss_percent": 100 * (int8 / fp32 - 1),
    }


def _measure(stepper: Stepper, trained: Trained, measure_name: str) -> float:
    recipe, tokenizer = trained.recipe, read_tokenizer(trained.work)
    held_out = read_held_out(trained.work, tokenizer, recipe.label_name, 0, recipe.seed)
    with one_thread():
        return float(measure(stepper, held_out, tokenizer, recipe.seed)[measure_name])
