"""The manifest of a version, from the recipe and what the steps left in the work folder."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError

from lstmserve_bundle.bundle import describe_file
from lstmserve_bundle.classifier_file import CLASSIFIER_NAME
from lstmserve_bundle.manifest import (
    CreationManifest,
    DataManifest,
    FileManifest,
    LimitsManifest,
    Manifest,
    QuantizationManifest,
    SamplingManifest,
    SizesManifest,
    TrainingManifest,
)
from lstmserve_training.classifying.report import manifest_measures
from lstmserve_training.errors import PublishError
from lstmserve_training.export import load_module
from lstmserve_training.families import FAMILIES
from lstmserve_training.int8_lstm import ACTIVATION_SCALE, ACTIVATION_ZERO_POINT
from lstmserve_training.recipe.network import OF_FAMILY
from lstmserve_training.recipe.toml import flatten, write_toml
from lstmserve_training.work import (
    BEST_NAME,
    CLASSIFICATION_NAME,
    EVALUATION_NAME,
    MODEL_NAME,
    PREPARATION_NAME,
    STEPS_NAME,
    read_template,
    require,
)

if TYPE_CHECKING:
    from lstmserve_training.checkpoint import Checkpoint
    from lstmserve_training.recipe.schema import Recipe
    from lstmserve_training.recipe.sections import FileSource

NOT_STATED = "not stated"
OF_CLASSIFIER = "classifier: "  # the beginning of what its data is for
REGULARIZERS = ("dropout", "locked_dropout", "weight_drop")  # of the network; training has others


@dataclass(frozen=True)
class Publication:
    """What to publish: a run of a recipe, in which store, as which version."""

    recipe: Recipe
    work: Path
    store: Path
    version: int
    command: str  # that makes it again

    @property
    def target(self) -> Path:
        """The version's folder."""
        return self.store / self.recipe.name / str(self.version)


def make_manifest(
    publication: Publication, checkpoint: Checkpoint, files: dict[str, FileManifest]
) -> Manifest:
    """The manifest of a version; raises PublishError when a field breaks the schema."""
    recipe = publication.recipe
    try:
        return Manifest(
            schema_version=1,
            name=recipe.name,
            version=publication.version,
            family=FAMILIES[recipe.model.family].name,
            description=recipe.description,
            license=recipe.license,
            sizes=_sizes(publication.work, checkpoint),
            quantization=QuantizationManifest(
                scheme="static-7bit-activations-int8-weights",
                activation_scale=ACTIVATION_SCALE,
                activation_zero_point=ACTIVATION_ZERO_POINT,
            ),
            limits=LimitsManifest(**recipe.limits.model_dump()),
            template=read_template(publication.work),
            sampling=SamplingManifest(**recipe.sampling.model_dump()),
            files=files,
            training=_training(publication, checkpoint),
            evaluation=_evaluation(publication.work, recipe),
            example_prompts=recipe.evaluation.prompts,
            created=make_creation(),
        )
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(map(str, problem["loc"]))
        raise PublishError(f"{key}: {problem['msg']} (found {problem['input']!r})") from None


def _sizes(work: Path, checkpoint: Checkpoint) -> SizesManifest:
    config = checkpoint.model.config
    module = load_module(require(work, MODEL_NAME))
    return SizesManifest(
        vocabulary=config.num_tokens,
        hidden=config.hidden,
        layers=config.layers,
        state=int(module.initial_state(1).shape[1]),
        parameters=sum(parameter.numel() for parameter in checkpoint.model.parameters()),
    )


def _training(publication: Publication, checkpoint: Checkpoint) -> TrainingManifest:
    return TrainingManifest(
        data=_data(publication),
        recipe=publication.command,
        seed=checkpoint.settings.get("seed", 0),
        steps=checkpoint.progress.step,
        tokens=checkpoint.progress.tokens,
        facts=_facts(publication, checkpoint),
    )


def _data(publication: Publication) -> list[DataManifest]:
    report = json.loads(require(publication.work, PREPARATION_NAME).read_text(encoding="utf-8"))
    return describe_sources(publication.recipe, report) + describe_questions(
        publication.recipe, publication.work
    )


def describe_sources(recipe: Recipe, report: dict[str, Any]) -> list[DataManifest]:
    """The recipe's sources, with the files as they were when they were read.

    Those of a model that is continued stand behind its own.
    """
    own = [
        _describe_source(source, _describe_use(source.use, read), read)
        for source, read in zip(recipe.sources, report["sources"], strict=True)
    ]
    return [*own, *(DataManifest.model_validate(source) for source in report.get("earlier", ()))]


def describe_questions(recipe: Recipe, work: Path) -> list[DataManifest]:
    """What the classifier was made of, if there is one."""
    section = recipe.classifier
    if section is None:
        return []
    report = json.loads(require(work, CLASSIFICATION_NAME).read_text(encoding="utf-8"))
    return [
        _describe_source(source, f"{OF_CLASSIFIER}{source.use}, {read['rows']} rows", read)
        for source, read in zip(section.sources, report["sources"], strict=True)
    ]


def _describe_source(source: FileSource, use: str, read: dict[str, Any]) -> DataManifest:
    return DataManifest(
        name=source.name,
        source=source.origin or NOT_STATED,
        license=source.license or NOT_STATED,
        use=use,
        files=read["files"],
    )


def _describe_use(use: str, read: dict[str, Any]) -> str:
    """What it was for, how much it was, and how much cleaning made of it."""
    dropped = sum(found["count"] for found in read["dropped"].values())
    parts = [f"{use}, {read['rows']} rows"]
    parts += [f"{read['changed']} texts changed by cleaning"] if read["changed"] else []
    parts += [f"{dropped} rows dropped"] if dropped else []
    return ", ".join(parts)


def _facts(publication: Publication, checkpoint: Checkpoint) -> dict[str, float | int | str]:
    """Settings and environment, flat; lists and what is not set are left out."""
    recipe = publication.recipe
    found: dict[str, Any] = {
        **flatten(recipe.tokenizer.model_dump(exclude={"file"}), "tokenizer"),
        **_switched_on(recipe),
        **{key: value for key, value in checkpoint.settings.items() if key != "seed"},
        **{name: getattr(checkpoint.model.config, name) for name in REGULARIZERS},
        "best_epoch": checkpoint.progress.epoch,
        "recipe_sha256": hashlib.sha256(write_toml(recipe).encode()).hexdigest(),
        **_environment(publication.work),
    }
    for name in ("start_from", "continuation.model", "distillation.teacher"):
        if Path(str(found.get(name, ""))).is_absolute():  # where it lay is nobody's business
            found[name] = Path(found[name]).name
    return {
        key: int(value) if isinstance(value, bool) else value
        for key, value in found.items()
        if isinstance(value, str | int | float) and value != ""
    }


def _switched_on(recipe: Recipe) -> dict[str, Any]:
    section = recipe.augmentation.model_dump(exclude_defaults=True)
    found = flatten(section, "augmentation")
    own = OF_FAMILY[recipe.model.family]
    found |= flatten(recipe.model.model_dump(include=set(own)), "model")
    if recipe.continuation is not None:
        found |= flatten(recipe.continuation.model_dump(), "continuation")
    return found


def _environment(work: Path) -> dict[str, Any]:
    path = work / STEPS_NAME
    if not path.is_file():
        return {}
    steps = json.loads(path.read_text(encoding="utf-8"))
    facts: dict[str, Any] = dict(steps.get("train", {}).get("facts", {}))
    if "seconds" in facts:
        facts["training_seconds"] = facts.pop("seconds")
    return facts


def _evaluation(work: Path, recipe: Recipe) -> dict[str, float | int | str]:
    report = json.loads(require(work, EVALUATION_NAME).read_text(encoding="utf-8"))
    for name in (BEST_NAME, MODEL_NAME):
        if report["sha256"][name] != describe_file(require(work, name)).sha256:
            raise PublishError(
                f"{work / EVALUATION_NAME} is not of this {name}: run the steps quantize and "
                "evaluate again"
            )
    measures: dict[str, float | int | str] = report["measures"]
    return measures | describe_classifier(recipe, work)


def describe_classifier(recipe: Recipe, work: Path) -> dict[str, float | int | str]:
    """What was measured of the classifier that is published, if there is one."""
    if recipe.classifier is None:
        return {}
    report = json.loads(require(work, CLASSIFICATION_NAME).read_text(encoding="utf-8"))
    if report["sha256"] != describe_file(require(work, CLASSIFIER_NAME)).sha256:
        raise PublishError(
            f"{work / CLASSIFICATION_NAME} is not of this {CLASSIFIER_NAME}: run the step classify "
            "again"
        )
    return manifest_measures(report)


def make_creation() -> CreationManifest:
    """When and by what a version is made: now, by this."""
    now = datetime.now(tz=UTC).isoformat(timespec="seconds")
    return CreationManifest(
        at=now, tool=f"lstmserve-train {tool_version()}", torch=torch.__version__
    )


def tool_version() -> str:
    try:
        return importlib.metadata.version("lstmserve")
    except importlib.metadata.PackageNotFoundError:
        return "from a source tree"
