"""How much of what an earlier run's model knew the continued one still knows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lstmserve_training.checkpoint import load_best
from lstmserve_training.encoding import never_tokens
from lstmserve_training.held_out import AskedLabels, as_earlier, read_held_out
from lstmserve_training.importing.published import is_published
from lstmserve_training.perplexity import perplexity
from lstmserve_training.replies import accuracy, next_logits
from lstmserve_training.speed import one_thread
from lstmserve_training.stepper import make_stepper
from lstmserve_training.work import EARLIER_NAME, read_template, read_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from lstmserve_training.recipe.schema import Recipe

Measures = dict[str, float | int | str]
LABELS = "label_accuracy_earlier"


def write_measures(earlier: Path, recipe: Recipe, work: Path) -> None:
    """Measure the earlier model on what it held out, once, before anything is learned."""
    if (work / EARLIER_NAME).is_file() or is_published(earlier):  # the run goes on; no text
        return
    tokenizer, template = read_tokenizer(earlier), read_template(earlier)
    held_out = read_held_out(earlier, tokenizer, recipe.label_name, 0, recipe.seed)
    stepper = make_stepper(load_best(earlier).model, never_tokens(template, tokenizer))
    with one_thread():
        found: Measures = {
            f"{name}_perplexity": perplexity(stepper, documents)
            for name, documents in as_earlier(held_out.documents).items()
        }
        parts = (held_out.labelled, held_out.questions, held_out.earlier)
        asked = AskedLabels(
            [prompt for part in parts for prompt in part.prompts],
            [right for part in parts for right in part.right],
        )
        if asked.prompts:
            found[LABELS] = accuracy(next_logits(stepper, asked.prompts), asked.right, None)
    (work / EARLIER_NAME).write_text(json.dumps(found), encoding="utf-8")


def keeping_of(
    measures: Mapping[str, float | int | str], work: Path, models: Sequence[str]
) -> Measures:
    """What was measured before, and the share of the labels' accuracy that is left, in percent.

    Nothing, where there was no earlier text to measure.
    """
    path = work / EARLIER_NAME
    before: Measures = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found: Measures = {f"{name}_before": value for name, value in before.items()}
    if before.get(LABELS):
        for model in models:
            kept = 100 * float(measures[f"{LABELS}_{model}"]) / float(before[LABELS])
            found[f"{LABELS}_kept_percent_{model}"] = kept
    return found
