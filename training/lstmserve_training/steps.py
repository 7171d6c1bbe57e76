"""The steps of a run, and the record by which a step with unchanged inputs is skipped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmserve_bundle.bundle import describe_file
from lstmserve_bundle.classifier_file import CLASSIFIER_NAME
from lstmserve_bundle.manifest import MANIFEST_NAME
from lstmserve_training.continuation.earlier import find_earlier
from lstmserve_training.data.files import find_files
from lstmserve_training.distillation import find_teacher
from lstmserve_training.errors import DataError
from lstmserve_training.importing.published import is_published
from lstmserve_training.recipe.toml import Flat, differences, flatten
from lstmserve_training.work import (
    BEST_NAME,
    CLASSIFICATION_NAME,
    CORPUS_NAME,
    EVALUATION_NAME,
    IMPORT_NAME,
    LABELED_NAME,
    MODEL_NAME,
    PREPARATION_NAME,
    PROMPTS_NAME,
    PUBLISHED_NAME,
    STEPS_NAME,
    TEMPLATE_NAME,
    TOKENIZER_NAME,
)

if TYPE_CHECKING:
    from lstmserve_training.recipe.schema import Recipe
    from lstmserve_training.recipe.sections import FileSource

EARLIER_TEXT = (CORPUS_NAME, PROMPTS_NAME, TEMPLATE_NAME, PREPARATION_NAME)
SPOKEN = {"name", "origin", "license"}  # of a source: what changes no text


@dataclass(frozen=True)
class Step:
    """One step: the keys and files that decide what it makes, and the files it leaves."""

    name: str
    keys: Callable[[Recipe], dict[str, Any]]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    meaning: str  # of a change, for a person


def _prepare_keys(recipe: Recipe) -> dict[str, Any]:
    document = recipe.model_dump(
        include={"kind", "seed", "label_name", "cleaning", "split", "tokenizer", "augmentation"}
    )
    sources = [source.model_dump(exclude=SPOKEN) for source in recipe.sources]
    label_weight = recipe.training.label_weight
    found = {**document, "sources": sources, "training": {"label_weight": label_weight}}
    if recipe.continuation is not None:
        found["continuation"] = recipe.continuation.model_dump(include={"replay"})
    if recipe.weights is not None:
        own = {"vocabulary", "tokens", "start", "end", "unknown"}
        found["weights"] = recipe.weights.model_dump(include=own)
    return found


def _import_keys(recipe: Recipe) -> dict[str, Any]:
    return {"weights": recipe.weights.model_dump() if recipe.weights else {}}


def _train_keys(recipe: Recipe) -> dict[str, Any]:
    training = recipe.training.own_keys()
    found = {"seed": recipe.seed, "model": recipe.model.own_keys(), "training": training}
    if recipe.distillation is not None:
        found["distillation"] = recipe.distillation.model_dump()
    if recipe.continuation is not None:
        own = {"consolidation", "fisher_documents"}
        found["continuation"] = recipe.continuation.model_dump(include=own)
    return found


def _classify_keys(recipe: Recipe) -> dict[str, Any]:
    if recipe.classifier is None:
        return {}
    section = recipe.classifier.model_dump(exclude={"sources"})
    sources = [source.model_dump(exclude=SPOKEN - {"name"}) for source in recipe.classifier.sources]
    document = recipe.model_dump(include={"seed", "cleaning", "augmentation"})
    return {**document, "classifier": {**section, "sources": sources}}


def _evaluate_keys(recipe: Recipe) -> dict[str, Any]:
    measured = {"replies", "speed_seconds"}
    if recipe.has_roles:
        return {"seed": recipe.seed, "evaluation": recipe.evaluation.model_dump(include=measured)}
    return {
        "seed": recipe.seed,
        "evaluation": recipe.evaluation.model_dump(include=measured | {"texts", "temperatures"}),
        "sampling": recipe.sampling.model_dump(exclude={"temperature"}),
    }


def _publish_keys(recipe: Recipe) -> dict[str, Any]:
    document = recipe.model_dump(
        include={"name", "description", "license", "sampling", "limits", "publish"}
    )
    of_classifier = recipe.classifier.sources if recipe.classifier is not None else []
    sources = [source.model_dump(include=SPOKEN) for source in [*recipe.sources, *of_classifier]]
    return {**document, "sources": sources}


PREPARE = Step(
    "prepare",
    _prepare_keys,
    (),
    (
        TOKENIZER_NAME,
        TEMPLATE_NAME,
        CORPUS_NAME,
        PROMPTS_NAME,
        LABELED_NAME,
        PREPARATION_NAME,
    ),
    "the text is prepared anew",
)
TRAIN = Step(
    "train",
    _train_keys,
    (CORPUS_NAME, TOKENIZER_NAME),
    (BEST_NAME,),
    "training begins anew, because every step depends on these from the first on",
)
IMPORT = Step(
    "import",
    _import_keys,
    (CORPUS_NAME, TOKENIZER_NAME),
    (BEST_NAME, IMPORT_NAME),
    "the weights are imported again",
)
QUANTIZE = Step(
    "quantize",
    lambda _recipe: {},
    (BEST_NAME, TOKENIZER_NAME, TEMPLATE_NAME),
    (MODEL_NAME,),
    "the weights are quantized again",
)
CLASSIFY = Step(
    "classify",
    _classify_keys,
    (),
    (CLASSIFIER_NAME, CLASSIFICATION_NAME),
    "the classifier is trained anew",
)
EVALUATE = Step(
    "evaluate",
    _evaluate_keys,
    (MODEL_NAME, BEST_NAME, CORPUS_NAME, PROMPTS_NAME),
    (EVALUATION_NAME,),
    "it is measured again",
)
PUBLISH = Step(
    "publish",
    _publish_keys,
    (MODEL_NAME, TOKENIZER_NAME, EVALUATION_NAME, CLASSIFIER_NAME),
    (PUBLISHED_NAME,),
    "a further version is published",
)
ALL_STEPS = (PREPARE, TRAIN, IMPORT, QUANTIZE, CLASSIFY, EVALUATE, PUBLISH)


def steps_of(recipe: Recipe) -> list[Step]:
    """The steps of a recipe, in order: weights are trained, or imported."""
    left_out = [TRAIN if recipe.weights is not None else IMPORT]
    left_out += [CLASSIFY] if recipe.classifier is None else []
    return [step for step in ALL_STEPS if step not in left_out]


@dataclass
class Record:
    """What a step was carried out with; ``outputs`` are empty until it is done."""

    keys: Flat
    inputs: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


class Records:
    """The records of all steps, in the run's folder."""

    def __init__(self, work: Path) -> None:
        self._path = work / STEPS_NAME
        self._work = work
        self._records: dict[str, Record] = {}
        if self._path.is_file():
            self._records = self._read()

    def _read(self) -> dict[str, Record]:
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            return {name: Record(**record) for name, record in document.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(
                f"{self._path} cannot be read ({error}): remove it, and all steps are taken again"
            ) from None

    def get(self, step: Step) -> Record | None:
        """What is known of a step that was begun."""
        return self._records.get(step.name)

    def put(self, step: Step, record: Record | None) -> None:
        """Keep a record on disk; None forgets it."""
        if record is None:
            self._records.pop(step.name, None)
        else:
            self._records[step.name] = record
        document = {name: asdict(record) for name, record in self._records.items()}
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
        partial.replace(self._path)

    def is_whole(self, step: Step) -> bool:
        """Whether the files that a step has left are still what they were."""
        record = self.get(step)
        return bool(record and record.outputs) and record.outputs == digests(  # type: ignore[union-attr]
            self._work, step.outputs
        )


def make_record(step: Step, recipe: Recipe, folder: Path, work: Path) -> Record:
    """What a step would be carried out with now."""
    inputs = digests(work, step.inputs)
    if step is PREPARE:
        inputs = _data_digests(recipe, folder) | _earlier_digests(recipe, folder, EARLIER_TEXT)
    elif step is TRAIN and recipe.continuation is not None:
        inputs |= _earlier_digests(recipe, folder, (BEST_NAME, CORPUS_NAME))
    elif step is TRAIN and recipe.training.start_from:
        start = recipe.training.start_from
        inputs |= _model_digest(folder / start, start)
    elif step is CLASSIFY and recipe.classifier is not None:
        inputs = _digests_of(recipe.classifier.sources, folder)
    elif step is PUBLISH:
        given = filter(None, (recipe.publish.answers, recipe.publish.constraints))
        inputs |= {name: _digest(folder / name) for name in given}
    elif step is IMPORT and recipe.weights is not None:
        inputs[recipe.weights.file] = _digest(folder / recipe.weights.file)
    if step is TRAIN and recipe.distillation is not None:
        teacher = find_teacher(recipe, folder)
        inputs |= _model_digest(teacher, recipe.distillation.teacher)
    return Record(flatten(step.keys(recipe)), inputs)


def _model_digest(folder: Path, model: str) -> dict[str, str]:
    """The weights of a run, or of a published version, that training reads."""
    name = MODEL_NAME if is_published(folder) else BEST_NAME
    return {f"{model}/{name}": _digest(folder / name)}


def changes(before: Record, now: Record) -> list[str]:
    """A line for each key or file that is not as it was."""
    lines = differences(before.keys, now.keys)
    for name in sorted(before.inputs.keys() | now.inputs.keys()):
        if before.inputs.get(name) != now.inputs.get(name):
            what = "is new" if name not in before.inputs else "has changed"
            lines.append(f"{name} {what if name in now.inputs else 'is gone'}")
    return lines


def digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of files by name; empty for one that is not there."""
    return {name: _digest(folder / name) for name in names}


def _earlier_digests(recipe: Recipe, folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Of files of the run that is continued; a version's manifest has the checksums of all."""
    if recipe.continuation is None:
        return {}
    earlier = find_earlier(recipe, folder)
    found = digests(earlier, (MANIFEST_NAME,) if is_published(earlier) else names)
    return {f"{recipe.continuation.model}: {name}": digest for name, digest in found.items()}


def _data_digests(recipe: Recipe, folder: Path) -> dict[str, str]:
    found = [path for source in recipe.sources for path in find_files(source, folder)]
    found += [folder / source.slots for source in recipe.sources if source.slots]
    if recipe.tokenizer.file:
        path = folder / recipe.tokenizer.file
        found.append(path / TOKENIZER_NAME if path.is_dir() else path)
    if recipe.weights is not None:
        found.append(folder / recipe.weights.vocabulary)
    return _digests(found, folder)


def _digests_of(sources: Iterable[FileSource], folder: Path) -> dict[str, str]:
    return _digests([path for source in sources for path in find_files(source, folder)], folder)


def _digests(paths: Iterable[Path], folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder) if path.is_relative_to(folder) else path): _digest(path)
        for path in paths
    }


def _digest(path: Path) -> str:
    return describe_file(path).sha256 if path.is_file() and path.stat().st_size else ""
