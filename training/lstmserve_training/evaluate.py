"""The verb ``evaluate``: how much of the trained model the served module keeps.

Three models go through the same measures: the trained one (``fp32``), what stock dynamic
quantization makes of it (``stock_int8``) and the exported module (``int8``). None may write
turn markers, as in service. Keys of the report end in the name of the model.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from lstmserve_bundle.bundle import describe_file
from lstmserve_training.checkpoint import load_best
from lstmserve_training.encoding import never_tokens
from lstmserve_training.export import check_same_bits, load_module
from lstmserve_training.held_out import read_held_out
from lstmserve_training.int8_lstm import known_deprecations
from lstmserve_training.perplexity import (
    counted_targets,
    perplexity,
    perplexity_of,
    reply_targets,
    target_nats,
)
from lstmserve_training.prepared import read_template, read_tokenizer
from lstmserve_training.quantize import quantize
from lstmserve_training.replies import accuracy, distinct, next_logits, sample_replies
from lstmserve_training.speed import one_thread, tokens_per_second
from lstmserve_training.stepper import FloatLstm, Stepper, stock_int8
from lstmserve_training.work import BEST_NAME, EVALUATION_NAME, MODEL_NAME, require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lstmserve_bundle.tokenizer import Tokenizer
    from lstmserve_training.held_out import HeldOut

Measures = dict[str, float | int | str]

FP32, STOCK_INT8, INT8 = MODELS = ("fp32", "stock_int8", "int8")
REPLY_TOKENS = 80
SPEED_ROWS = (1, 32)
SPEED_ROUNDS = 5


@dataclass(frozen=True)
class EvaluateConfig:
    """Sizes of the samples of prompts, and the time given to each measure of speed."""

    questions: int = 200
    contexts: int = 200
    speed_seconds: float = 1.5
    seed: int = 1


def evaluate(
    work: Path, config: EvaluateConfig, say: Callable[[str], None] = lambda _text: None
) -> Measures:
    """Measure the three models and write ``evaluation.json``; ``say`` is told what is under way."""
    checkpoint = load_best(work)
    tokenizer = read_tokenizer(work)
    held_out = read_held_out(work, tokenizer, config.questions, config.contexts, config.seed)
    never = never_tokens(read_template(work), tokenizer)
    module = load_module(require(work, MODEL_NAME))
    # the figures are those of the best checkpoint only if the exported module is its own
    check_same_bits(quantize(checkpoint.model, never), module)
    fp32 = FloatLstm(checkpoint.model, never).eval()
    steppers = {FP32: fp32, STOCK_INT8: stock_int8(checkpoint.model, never), INT8: module}

    measures = _facts(checkpoint.progress.epoch, held_out)
    with one_thread():
        for name, stepper in steppers.items():
            say(f"measuring {name}")
            found = measure(stepper, held_out, tokenizer, config.seed)
            found["torchscript_bytes"] = _torchscript_bytes(stepper)
            measures |= {f"{key}_{name}": value for key, value in found.items()}
        say("measuring speed")
        measures |= _speeds(steppers, config.speed_seconds)
    measures |= _differences(measures)
    _write(work, measures)
    return measures


def measure(stepper: Stepper, held_out: HeldOut, tokenizer: Tokenizer, seed: int) -> Measures:
    """Perplexities, intent accuracy (shares) and Distinct-n (shares) of one model."""
    nats = target_nats(stepper, held_out.chats)
    replies = [reply_targets(chat, held_out.reply_id, held_out.role_ids) for chat in held_out.chats]
    return {
        "chat_perplexity": perplexity_of(nats, map(counted_targets, held_out.chats)),
        "chat_agent_turn_perplexity": perplexity_of(nats, replies),
        "answer_perplexity": perplexity(stepper, held_out.answers),
        **_intents(stepper, held_out),
        **_variety(stepper, held_out, tokenizer, seed),
    }


def _intents(stepper: Stepper, held_out: HeldOut) -> Measures:
    """Shares of questions whose intent is named: patterned ones, and those in unseen words."""
    found: Measures = {}
    kinds = {"": held_out.questions, "_unseen_wording": held_out.unseen_questions}
    for suffix, questions in kinds.items():
        if questions.prompts:
            logits = next_logits(stepper, questions.prompts)
            found[f"intent_accuracy{suffix}"] = accuracy(logits, questions.right, None)
            found[f"intent_accuracy_among_intents{suffix}"] = accuracy(
                logits, questions.right, held_out.intents
            )
    return found


def _variety(stepper: Stepper, held_out: HeldOut, tokenizer: Tokenizer, seed: int) -> Measures:
    """Distinct-n of replies at temperature 1: to questions and chats, and to questions alone."""
    prompts = [*held_out.sampled_questions, *held_out.sampled_contexts]
    token_ids = sample_replies(stepper, prompts, held_out.end_id, REPLY_TOKENS, seed)
    replies = list(map(tokenizer.decode, token_ids))
    to_questions = replies[: len(held_out.sampled_questions)]
    return {
        "distinct_1": distinct(replies, 1),
        "distinct_2": distinct(replies, 2),
        "distinct_1_questions": distinct(to_questions, 1),
        "distinct_2_questions": distinct(to_questions, 2),
    }


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
    """Size as a TorchScript file, for all three alike."""
    buffer = io.BytesIO()
    with known_deprecations():
        torch.jit.save(torch.jit.script(stepper), buffer)
    return buffer.getbuffer().nbytes


def _facts(epoch: int, held_out: HeldOut) -> Measures:
    return {
        "epoch": epoch,
        "chat_targets": sum(int(counted_targets(chat).sum()) for chat in held_out.chats),
        "questions": len(held_out.questions.right),
        "unseen_questions": len(held_out.unseen_questions.right),
        "sampled_question_replies": len(held_out.sampled_questions),
        "sampled_chat_replies": len(held_out.sampled_contexts),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def _differences(measures: Measures) -> Measures:
    """How far each INT8 model's perplexity is from fp32's, in percent of fp32's."""
    return {
        f"{kind}_perplexity_difference_percent_{name}": 100
        * (
            float(measures[f"{kind}_perplexity_{name}"])
            / float(measures[f"{kind}_perplexity_{FP32}"])
            - 1
        )
        for kind in ("chat", "chat_agent_turn", "answer")
        for name in (STOCK_INT8, INT8)
    }


def _write(work: Path, measures: Measures) -> None:
    """The measures, and which files they are of."""
    digests = {name: describe_file(work / name).sha256 for name in (BEST_NAME, MODEL_NAME)}
    report = {"sha256": digests, "measures": measures}
    (work / EVALUATION_NAME).write_text(json.dumps(report, indent=2))
