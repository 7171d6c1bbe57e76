"""The step ``train`` of a recipe: puts corpus, model, samples and reporters together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lstmserve_training.checkpoint import Progress, read_checkpoint
from lstmserve_training.continuation.consolidation import Consolidation, consolidate, widen
from lstmserve_training.continuation.earlier import find_earlier
from lstmserve_training.continuation.keeping import write_measures
from lstmserve_training.devices import pick_device
from lstmserve_training.distillation import make_teacher
from lstmserve_training.documents import load_corpus
from lstmserve_training.importing.published import read_model
from lstmserve_training.model import LanguageModel, ModelConfig
from lstmserve_training.reporting import (
    LogReporter,
    Reporter,
    Reporters,
    TensorBoardReporter,
    reporter_for,
)
from lstmserve_training.samples import make_sampler
from lstmserve_training.train import Trainer
from lstmserve_training.work import (
    BEST_NAME,
    CORPUS_NAME,
    LAST_NAME,
    LOG_NAME,
    read_template,
    read_tokenizer,
    require,
)

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from lstmserve_bundle.tokenizer import Tokenizer
    from lstmserve_training.recipe.schema import Recipe
    from lstmserve_training.recipe.sections import TrainingSection


def describe_end(work: Path, section: TrainingSection) -> str:
    """Which weights were kept, and why it ended where it did."""
    best, last = (Progress(**read_checkpoint(work / n)["progress"]) for n in (BEST_NAME, LAST_NAME))
    text = f"train: the best weights are those of epoch {best.epoch} of {last.epoch}"
    if last.epoch < section.epochs:
        text += f"; it ended early, as held-out text gained nothing for {last.bad_epochs} epochs"
    elif best.epoch == last.epoch:
        text += "; it was still gaining: more training.epochs may gain more"
    return text


def train(recipe: Recipe, folder: Path, work: Path, console: Console, device: str | None) -> float:
    """Train, or go on with the run that the folder holds; return the seconds of all of it."""
    tokenizer = read_tokenizer(work)
    pauses, resumes = _turn_tokens(recipe, work, tokenizer)
    model = ModelConfig(
        tokenizer.num_tokens, **recipe.model.model_dump(), pauses=pauses, resumes=resumes
    )
    section = recipe.training
    if section.start_from:
        section = section.model_copy(update={"start_from": str(folder / section.start_from)})
    with reporter_for(console) as shown:
        reporters: list[Reporter] = [shown, LogReporter(work / LOG_NAME)]
        if section.tensorboard:
            reporters.append(TensorBoardReporter(work / "tensorboard"))
        first, consolidation = _begin(recipe, model, folder, work)
        trainer = Trainer(
            model,
            section,
            recipe.seed,
            load_corpus(require(work, CORPUS_NAME)),
            work,
            device,
            special_ids=sorted(tokenizer.special_ids),
            first=first,
            consolidation=consolidation,
            teacher=make_teacher(recipe, folder, work, pick_device(device)),
            sampler=make_sampler(recipe, work),
        )
        trainer.run(Reporters(reporters))
    return trainer.seconds


def _turn_tokens(
    recipe: Recipe, work: Path, tokenizer: Tokenizer
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return which tokens begin a reply, and which end it, for a network that has to know."""
    if recipe.model.family != "attentive":
        return (), ()
    template = read_template(work)
    ids = {role: tokenizer.special_id(text) for role, text in template.role_tokens.items()}
    reply_id = ids.pop(template.reply_role)
    return (reply_id,), tuple(ids.values())


def _begin(
    recipe: Recipe, model: ModelConfig, folder: Path, work: Path
) -> tuple[LanguageModel | None, Consolidation | None]:
    """The weights to start from, and what keeps them; nothing of both in a run of its own."""
    section = recipe.continuation
    if section is None:
        return None, None
    earlier = find_earlier(recipe, folder)
    write_measures(earlier, recipe, work)
    torch.manual_seed(recipe.seed)  # the rows of tokens that are new
    first = widen(read_model(earlier), model)
    return first, consolidate(section, earlier, first, work, recipe.seed)
