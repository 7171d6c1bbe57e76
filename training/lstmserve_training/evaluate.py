"""The step ``evaluate``: how much of the trained model the served module keeps.

Three models go through the same measures: the trained one (``fp32``), what stock dynamic
quantization makes of it (``stock_int8``) and the exported module (``int8``). None may write
turn markers, as in service. Keys of the report end in the name of the model; what is measured
fits the kind of model.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lstmserve_bundle.bundle import describe_file
from lstmserve_training.checkpoint import load_best
from lstmserve_training.continuation.keeping import keeping_of
from lstmserve_training.encoding import never_tokens
from lstmserve_training.export import check_same_bits, load_module
from lstmserve_training.families import quantize_model
from lstmserve_training.held_out import read_held_out
from lstmserve_training.int8_lstm import known_deprecations
from lstmserve_training.originality import originality
from lstmserve_training.perplexity import (
    counted_targets,
    perplexity_of,
    reply_targets,
    target_scores,
)
from lstmserve_training.replies import accuracy, distinct, next_logits, sample_replies
from lstmserve_training.speed import one_thread, tokens_per_second
from lstmserve_training.stepper import Stepper, can_be_scripted, make_stepper, stock_int8
from lstmserve_training.work import (
    BEST_NAME,
    EVALUATION_NAME,
    IMPORT_NAME,
    MODEL_NAME,
    read_template,
    read_tokenizer,
    require,
)

if TYPE_CHECKING:
    from torch import Tensor

    from lstmserve_bundle.tokenizer import Tokenizer
    from lstmserve_training.documents import Document
    from lstmserve_training.held_out import AskedLabels, HeldOut
    from lstmserve_training.recipe.schema import Recipe

Measures = dict[str, float | int | str]

FP32, STOCK_INT8, INT8 = MODELS = ("fp32", "stock_int8", "int8")
REPLY_TOKENS = 80
SPEED_ROWS = (1, 32)
SPEED_ROUNDS = 5
MAX_WORD_NATS = 16.0  # more is said by no word: white space parts none, as in Chinese
TOP = (1, 5)
CONTINUATION = 0x80  # of a byte that does not begin a character of UTF-8


def evaluate(
    recipe: Recipe, work: Path, say: Callable[[str], None] = lambda _text: None
) -> Measures:
    """Measure the three models and write ``evaluation.json``; ``say`` is told what is under way."""
    checkpoint = load_best(work)
    tokenizer = read_tokenizer(work)
    replies = recipe.evaluation.replies
    held_out = read_held_out(work, tokenizer, recipe.label_name, replies, recipe.seed)
    never = never_tokens(read_template(work), tokenizer)
    module = load_module(require(work, MODEL_NAME))
    # the figures are those of the best checkpoint only if the exported module is its own
    check_same_bits(quantize_model(checkpoint.model, never), module)
    fp32 = make_stepper(checkpoint.model, never)
    steppers = {FP32: fp32, STOCK_INT8: stock_int8(checkpoint.model, never), INT8: module}

    measures = _facts(checkpoint.progress.epoch, held_out)
    with one_thread():
        for name, stepper in steppers.items():
            say(f"measuring {name}")
            found = measure(stepper, held_out, tokenizer, recipe.seed)
            if can_be_scripted(stepper):
                found["torchscript_bytes"] = _torchscript_bytes(stepper)
            measures |= {f"{key}_{name}": value for key, value in found.items()}
        say("measuring what it writes by itself")
        written = originality(recipe, work, tokenizer, module)
        measures |= {f"{key}_{INT8}": value for key, value in written.items()}
        say("measuring speed")
        measures |= _speeds(steppers, recipe.evaluation.speed_seconds)
    measures |= _differences(measures) | _parity(work)
    if recipe.continuation is not None:
        measures |= keeping_of(measures, work, MODELS)
    _write(work, measures)
    return measures


def measure(stepper: Stepper, held_out: HeldOut, tokenizer: Tokenizer, seed: int) -> Measures:
    """Perplexities, shares of labels that are right, and Distinct-n of one model."""
    scores = {kind: target_scores(stepper, docs) for kind, docs in held_out.documents.items()}
    nats = {kind: [row[:, 0] for row in rows] for kind, rows in scores.items()}
    is_text = held_out.reply_id is None
    return {
        **_perplexities(nats, held_out),
        **(text_measures(scores, held_out.documents, tokenizer) if is_text else {}),
        **_labels(stepper, held_out),
        **_variety(stepper, held_out, tokenizer, seed),
        **(_words(nats, held_out, tokenizer) if is_text else {}),
    }


def _perplexities(nats: Mapping[str, list[Tensor]], held_out: HeldOut) -> Measures:
    """Of each kind of text; in dialogues also of what the model is to write."""
    found: Measures = {
        f"{kind}_perplexity": perplexity_of(nats[kind], map(counted_targets, documents))
        for kind, documents in held_out.documents.items()
    }
    if held_out.reply_id is not None:
        rows = [row for kind in held_out.documents for row in nats[kind]]
        documents = [d for found in held_out.documents.values() for d in found]
        masks = [reply_targets(d, held_out.reply_id, held_out.role_ids) for d in documents]
        found["reply_perplexity"] = perplexity_of(rows, masks)
    return found


def text_measures(
    scores: Mapping[str, Sequence[Tensor]],
    held_out: Mapping[str, Sequence[Document]],
    tokenizer: Tokenizer,
) -> Measures:
    """Bits per byte and character, which suit any tokenizer, and how often a token is foreseen.

    ``top_k`` is the share of tokens, in a model of characters of characters, that are among the k
    most likely ones.
    """
    documents = [document for found in held_out.values() for document in found]
    rows = [row for found in scores.values() for row in found]
    pairs = zip(rows, documents, strict=True)
    picked = torch.cat([row[counted_targets(document)] for row, document in pairs]).double()
    text = b"".join(tokenizer.token_bytes(token) for d in documents for token in d.token_ids)
    bits = float(picked[:, 0].sum()) / math.log(2)
    num_characters = sum(byte & 0xC0 != CONTINUATION for byte in text)
    return {
        "bits_per_byte": bits / max(1, len(text)),
        "bits_per_character": bits / max(1, num_characters),
        **{f"top_{k}": float((picked[:, 1] < k).double().mean()) for k in TOP},
    }


def _labels(stepper: Stepper, held_out: HeldOut) -> Measures:
    """Shares of prompts whose label is named: held-out ones, and the recipe's `questions`."""
    found: Measures = {}
    kinds: dict[str, AskedLabels] = {
        "": held_out.labelled,
        "_questions": held_out.questions,
        "_earlier": held_out.earlier,
    }
    for suffix, asked in kinds.items():
        if asked.prompts:
            logits = next_logits(stepper, asked.prompts)
            found[f"label_accuracy{suffix}"] = accuracy(logits, asked.right, None)
            found[f"label_accuracy_among_labels{suffix}"] = accuracy(
                logits, asked.right, held_out.labels
            )
    return found


def _variety(stepper: Stepper, held_out: HeldOut, tokenizer: Tokenizer, seed: int) -> Measures:
    """Distinct-n of replies at temperature 1."""
    token_ids = sample_replies(stepper, held_out.sampled, held_out.end_id, REPLY_TOKENS, seed)
    replies = list(map(tokenizer.decode, token_ids))
    return {"distinct_1": distinct(replies, 1), "distinct_2": distinct(replies, 2)}


def _words(nats: Mapping[str, list[Tensor]], held_out: HeldOut, tokenizer: Tokenizer) -> Measures:
    """Perplexity per word, whatever its tokens are; a text's end is one more (as in Mikolov, 2010).

    Empty where white space does not part words.
    """
    total, words = 0.0, 0
    for kind, documents in held_out.documents.items():
        for row, document in zip(nats[kind], documents, strict=True):
            total += float(row[counted_targets(document)].double().sum())
            words += len(tokenizer.decode(document.token_ids).split())
            words += document.token_ids[-1] == held_out.end_id
    return {"word_perplexity": math.exp(total / words)} if total < MAX_WORD_NATS * words else {}


def _speeds(steppers: Mapping[str, Stepper], seconds: float) -> Measures:
    """The best of several rounds, so that a busy moment does not meet one model only."""
    best: dict[str, int] = {}
    for _ in range(SPEED_ROUNDS):
        for rows in SPEED_ROWS:
            for name, stepper in steppers.items():
                found = tokens_per_second(stepper, rows, seconds / SPEED_ROUNDS)
                key = f"tokens_per_second_{rows}_rows_one_thread_{name}"
                best[key] = max(best.get(key, 0), round(found))
    return {**best}


def _torchscript_bytes(stepper: Stepper) -> int:
    """Size as a TorchScript file."""
    buffer = io.BytesIO()
    with known_deprecations():
        torch.jit.save(torch.jit.script(stepper), buffer)
    return buffer.getbuffer().nbytes


def _facts(epoch: int, held_out: HeldOut) -> Measures:
    targets = {
        f"{kind}_targets": sum(int(counted_targets(document).sum()) for document in documents)
        for kind, documents in held_out.documents.items()
    }
    return {
        "epoch": epoch,
        **targets,
        "labelled_prompts": len(held_out.labelled.right),
        "labelled_questions": len(held_out.questions.right),
        **({"labelled_earlier": len(held_out.earlier.right)} if held_out.earlier.right else {}),
        "sampled_replies": len(held_out.sampled),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def _differences(measures: Measures) -> Measures:
    """How far each INT8 model's perplexity is from fp32's, in percent of fp32's."""
    names = [key.removesuffix(f"_{FP32}") for key in measures if key.endswith(f"perplexity_{FP32}")]
    return {
        f"{name}_difference_percent_{model}": 100
        * (float(measures[f"{name}_{model}"]) / float(measures[f"{name}_{FP32}"]) - 1)
        for name in names
        for model in (STOCK_INT8, INT8)
        if f"{name}_{model}" in measures
    }


def _parity(work: Path) -> Measures:
    """With the original, of weights that were imported."""
    path = work / IMPORT_NAME
    if not path.is_file():
        return {}
    parity: Measures = json.loads(path.read_text(encoding="utf-8"))["parity"]
    return parity


def _write(work: Path, measures: Measures) -> None:
    """The measures, and which files they are of."""
    digests = {name: describe_file(work / name).sha256 for name in (BEST_NAME, MODEL_NAME)}
    report = {"sha256": digests, "measures": measures}
    (work / EVALUATION_NAME).write_text(json.dumps(report, indent=2), encoding="utf-8")
