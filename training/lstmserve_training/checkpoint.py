"""A training run on disk: weights, optimizer, settings and how far it came."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lstmserve_training.errors import DataError
from lstmserve_training.families import make_model
from lstmserve_training.model import LanguageModel, ModelConfig
from lstmserve_training.work import BEST_NAME, require

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Progress:
    """How far a run came; ``tokens`` counts targets of weight above 0, over all epochs.

    ``seconds`` of training are those that led here: what is done twice after a kill counts once.
    """

    epoch: int = 0
    batch: int = 0  # of the epoch that is under way
    step: int = 0
    tokens: int = 0
    best: float = math.inf
    bad_epochs: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Checkpoint:
    """A trained model, ready for use, with the settings that made it."""

    model: LanguageModel
    settings: dict[str, Any]
    progress: Progress


def save_model(
    path: Path, model: LanguageModel, settings: dict[str, Any], progress: Progress
) -> None:
    """Write a model that no further training is to go on with."""
    saved = {"model": model.state_dict(), "config": asdict(model.config), "train": settings}
    torch.save({**saved, "progress": asdict(progress)}, path)


def save_checkpoint(
    path: Path,
    model: LanguageModel,
    optimizer: torch.optim.Optimizer,
    settings: dict[str, Any],
    progress: Progress,
) -> None:
    """Write everything that going on exactly needs; a run cut off here keeps its old file."""
    partial = path.with_suffix(".partial")
    torch.save(
        {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "config": asdict(model.config),
            "train": settings,
            "progress": asdict(progress),
            "random": random_state(),
        },
        partial,
    )
    partial.replace(path)


def random_state() -> list[Tensor]:
    """Of the CPU, and of every GPU."""
    return [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]


def set_random_state(states: list[Tensor]) -> None:
    """What ``random_state`` gave; other GPUs than there were go on as they are."""
    torch.set_rng_state(states[0])
    if len(states) - 1 == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states[1:])


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What ``save_checkpoint`` wrote, on the CPU; raises DataError when it cannot be read."""
    try:
        saved: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises a dozen unrelated types for a damaged file
        raise DataError(f"{path} cannot be read; it is damaged: train again") from error
    return saved


def load_best(work: Path) -> Checkpoint:
    """The best model of a run, in evaluation mode, on the CPU."""
    saved = read_checkpoint(require(work, BEST_NAME))
    model = make_model(ModelConfig(**saved["config"]))
    model.load_state_dict(saved["model"])
    return Checkpoint(model.eval(), saved["train"], Progress(**saved["progress"]))
