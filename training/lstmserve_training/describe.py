"""The manifest of a version, from what the verbs before left in the work folder."""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import ValidationError

from lstmserve_bundle.bundle import describe_file
from lstmserve_bundle.manifest import (
    CreationManifest,
    FileManifest,
    Manifest,
    QuantizationManifest,
    SizesManifest,
    TrainingManifest,
)
from lstmserve_training.checkpoint import load_best
from lstmserve_training.errors import PublishError
from lstmserve_training.int8_lstm import ACTIVATION_SCALE, ACTIVATION_ZERO_POINT
from lstmserve_training.prepared import read_template
from lstmserve_training.work import (
    BEST_NAME,
    EVALUATION_NAME,
    MODEL_NAME,
    PREPARATION_NAME,
    require,
)

if TYPE_CHECKING:
    from lstmserve_training.card import Card
    from lstmserve_training.checkpoint import Checkpoint

MAX_SIZE_MB = 16.0


@dataclass(frozen=True)
class Publication:
    """What to publish, where, and under which name."""

    work: Path
    store: Path
    name: str
    version: int
    card: Card
    max_size_mb: float = MAX_SIZE_MB


def make_manifest(
    publication: Publication, checkpoint: Checkpoint, files: dict[str, FileManifest]
) -> Manifest:
    """The manifest of a version; raises PublishError when a field breaks the schema."""
    card = publication.card
    try:
        return Manifest(
            schema_version=1,
            name=publication.name,
            version=publication.version,
            family="stacked-lstm",
            description=card.description,
            license=card.license,
            sizes=_sizes(checkpoint),
            quantization=QuantizationManifest(
                scheme="static-7bit-activations-int8-weights",
                activation_scale=ACTIVATION_SCALE,
                activation_zero_point=ACTIVATION_ZERO_POINT,
            ),
            limits=card.limits,
            template=read_template(publication.work),
            sampling=card.sampling,
            files=files,
            training=_training(publication, checkpoint),
            evaluation=_evaluation(publication.work),
            created=_creation(),
        )
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(map(str, problem["loc"]))
        raise PublishError(f"{key}: {problem['msg']} (found {problem['input']!r})") from None


def _sizes(checkpoint: Checkpoint) -> SizesManifest:
    config = checkpoint.model.config
    return SizesManifest(
        vocabulary=config.num_tokens,
        hidden=config.hidden,
        layers=config.layers,
        state=2 * config.layers * config.hidden,
        parameters=sum(parameter.numel() for parameter in checkpoint.model.parameters()),
    )


def _training(publication: Publication, checkpoint: Checkpoint) -> TrainingManifest:
    settings = checkpoint.settings
    return TrainingManifest(
        data=list(publication.card.data),
        recipe=_recipe(publication.work, checkpoint),
        seed=settings["seed"],
        steps=checkpoint.progress.step,
        tokens=checkpoint.progress.tokens,
        facts={
            **{key: value for key, value in settings.items() if key != "seed"},
            "dropout": checkpoint.model.config.dropout,
            "best_epoch": checkpoint.progress.epoch,
        },
    )


def _recipe(work: Path, checkpoint: Checkpoint) -> str:
    """The commands that make the weights again, with every setting spelled out."""
    config, settings = checkpoint.model.config, checkpoint.settings
    train = (
        f"lstmserve-train train --work {work.name} --hidden {config.hidden}"
        f" --layers {config.layers} --dropout {config.dropout} --epochs {settings['epochs']}"
        f" --rows {settings['rows']} --peak-learning-rate {settings['peak_learning_rate']}"
        f" --seed {settings['seed']}"
    )
    if settings.get("init"):  # not in runs of before there was a choice
        first = Path(settings["init"])
        train += f" --chat-share {settings['chat_share']} --init {first.name}"
        return f"{_recipe(first, load_best(first))} && {_prepare_command(work)} && {train}"
    return f"{_prepare_command(work)} && {train}"


def _prepare_command(work: Path) -> str:
    settings = json.loads(require(work, PREPARATION_NAME).read_text())
    command = (
        f"lstmserve-train prepare --work {work.name} --data DATA"
        f" --vocabulary {settings['vocabulary']} --seed {settings['seed']}"
    )
    if settings.get("tokenizer_of"):
        command += f" --fixed-reply-share {settings['fixed_reply_share']}"
        command += f" --tokenizer-of {Path(settings['tokenizer_of']).name}"
    return command


def _evaluation(work: Path) -> dict[str, float | int | str]:
    report = json.loads(require(work, EVALUATION_NAME).read_text())
    for name in (BEST_NAME, MODEL_NAME):
        if report["sha256"][name] != describe_file(work / name).sha256:
            raise PublishError(
                f"{work / EVALUATION_NAME} is not of this {name}: run "
                f"'lstmserve-train quantize --work {work}' and 'evaluate' again"
            )
    measures: dict[str, float | int | str] = report["measures"]
    return measures


def _creation() -> CreationManifest:
    try:
        version = importlib.metadata.version("lstmserve")
    except importlib.metadata.PackageNotFoundError:
        version = "from a source tree"
    now = datetime.now(tz=UTC).isoformat(timespec="seconds")
    return CreationManifest(at=now, tool=f"lstmserve-train {version}", torch=torch.__version__)
