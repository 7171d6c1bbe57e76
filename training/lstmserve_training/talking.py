"""``try``: talk to a run before it is published."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lstmserve_bundle.template import PromptTemplate, Turn
from lstmserve_training.checkpoint import load_best
from lstmserve_training.data.examples import AGENT, USER
from lstmserve_training.encoding import never_tokens
from lstmserve_training.export import load_module
from lstmserve_training.samples import Speaker
from lstmserve_training.speed import one_thread
from lstmserve_training.stepper import Stepper, make_stepper
from lstmserve_training.work import MODEL_NAME, read_template, read_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from lstmserve_training.recipe.schema import Recipe

CLEAR = "/clear"


@dataclass(frozen=True)
class Talker:
    """A model of a run, with what it needs to be talked to."""

    speaker: Speaker
    template: PromptTemplate
    what: str  # which weights


def open_talker(recipe: Recipe, work: Path) -> Talker:
    """The exported module of a run, or the best weights so far where there is none."""
    tokenizer = read_tokenizer(work)
    manifest = read_template(work)
    template = PromptTemplate(manifest, tokenizer)
    path = work / MODEL_NAME
    if path.is_file():
        stepper: Stepper = load_module(path)
        what = "the exported INT8 module"
    else:
        checkpoint = load_best(work)
        stepper = make_stepper(checkpoint.model, never_tokens(manifest, tokenizer))
        what = f"the best weights so far, of epoch {checkpoint.progress.epoch}, not yet quantized"
    return Talker(Speaker(stepper, tokenizer, template, recipe.sampling), template, what)


def talk(
    talker: Talker, lines: Iterable[str], seed: int, say: Callable[[str], object], *, chat: bool
) -> None:
    """Answer line by line; with ``chat`` each line goes on with the conversation before it."""
    turns: list[Turn] = []
    for number, line in enumerate(lines):
        text = line.rstrip("\n")
        if text.strip() == CLEAR:
            turns = []
            continue
        if talker.template.has_roles:
            turns = [*(turns if chat else []), Turn(USER, text)]
            prompt = talker.template.render_conversation(turns)
        else:
            prompt = talker.template.render_prompt(text)
            say(text)
        reply = []
        with one_thread():
            for piece in talker.speaker.stream(prompt, seed + number):
                reply.append(piece)
                say(piece)
        say("\n")
        turns = [*turns, Turn(AGENT, talker.speaker.without_labels("".join(reply)))]
