"""The step ``publish``: a verified, immutable version in a model store."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lstmserve_bundle.answers import ANSWERS_NAME, read_answers, write_answers
from lstmserve_bundle.bundle import describe_file, open_bundle
from lstmserve_bundle.classifier_file import CLASSIFIER_NAME
from lstmserve_bundle.errors import BundleError, DefaultModelError
from lstmserve_bundle.fingerprint import FINGERPRINT_NAME, take_fingerprint, write_fingerprint
from lstmserve_bundle.forms import FORMS_NAME, read_forms
from lstmserve_bundle.manifest import write_manifest
from lstmserve_bundle.store import DEFAULT_NAME, look_into, only_model, read_default, write_default
from lstmserve_training.card import write_card
from lstmserve_training.checkpoint import load_best
from lstmserve_training.describe import Publication, make_manifest
from lstmserve_training.errors import MissingInputError, PublishError
from lstmserve_training.export import load_module
from lstmserve_training.proving import check_bits
from lstmserve_training.speed import one_thread
from lstmserve_training.work import MODEL_NAME, TOKENIZER_NAME, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lstmserve_bundle.manifest import Manifest

BYTES_PER_MB = 1_000_000


def next_version(store: Path, name: str) -> int:
    """One more than the newest version that a store has of a model."""
    versions = look_into(store).versions.get(name, []) if store.is_dir() else []
    return max(versions, default=0) + 1


def publish(publication: Publication, prove: Callable[[Path], object] = check_bits) -> Path:
    """Write ``<store>/<name>/<version>/``, whole or not at all, and the model's card.

    ``prove`` raises PublishError or ExportError for a version whose replies are not exact.
    A version that a run has written before it was killed is taken as it is.

    A store that names no default model names the one that has answered so far, or the first.
    Raises PublishError when the version exists, a file is too big, or the evaluation is not
    of these files; MissingInputError when an earlier step has not been taken.
    """
    recipe, work, store = publication.recipe, publication.work, publication.store
    target = publication.target
    manifest = _describe(publication)
    is_there = _has(target, manifest)
    if target.exists() and not is_there:
        raise PublishError(f"{target} exists: versions are immutable, publish the next one")
    default = _unnamed_default(store, recipe.name)
    if default and default != recipe.name:  # before it is no longer alone
        write_default(store, default)
    if not is_there:
        with appearing_folder(target) as folder:
            for name in manifest.files:
                shutil.copyfile(work / name, folder / name)
            write_manifest(folder, manifest)
            check_loads(folder)
            prove(folder)
    if default == recipe.name:
        write_default(store, default)
    write_card(target.parent, manifest, recipe.publish.card)
    return target


def is_in_store(publication: Publication) -> bool:
    """Whether the store has this very version, which only says another time of its making."""
    return publication.target.exists() and _has(publication.target, _describe(publication))


def _has(target: Path, manifest: Manifest) -> bool:
    try:
        found = open_bundle(target).manifest
    except BundleError:
        return False
    return found.model_copy(update={"created": manifest.created}) == manifest


def _describe(publication: Publication) -> Manifest:
    """What is to be published, once all of it is there."""
    recipe, work = publication.recipe, publication.work
    _check_size(require(work, MODEL_NAME), recipe.publish.max_size_mb)
    names = [MODEL_NAME, TOKENIZER_NAME, *_write_fingerprint(work)]
    names += [CLASSIFIER_NAME] if recipe.classifier is not None else []
    names += [ANSWERS_NAME] if recipe.publish.answers else []
    names += [FORMS_NAME] if recipe.publish.constraints else []
    files = {name: describe_file(require(work, name)) for name in names}
    return make_manifest(publication, load_best(work), files)


def take_answers(path: Path, work: Path) -> None:
    """Check a recipe's answers.json and put it beside what was made; raises PublishError."""
    if not path.is_file():
        raise MissingInputError(f"{path} is missing: publish.answers names it")
    try:
        answers = read_answers(path)
        answers.check_own_words()
    except (BundleError, ValueError) as error:
        raise PublishError(f"publish.answers: {error}") from None
    write_answers(work / ANSWERS_NAME, answers)


def take_forms(path: Path, work: Path) -> None:
    """Check a recipe's constraints.json and put it beside what was made; raises PublishError.

    Whether each form can be built for the version's tokens, a server says that tries it.
    """
    if not path.is_file():
        raise MissingInputError(f"{path} is missing: publish.constraints names it")
    try:
        read_forms(path)
    except BundleError as error:
        raise PublishError(f"publish.constraints: {error}") from None
    shutil.copyfile(path, work / FORMS_NAME)


def describe_default(store: Path) -> str:
    """One sentence for the operator: who answers requests that name no model, and what to do."""
    path = store / DEFAULT_NAME
    try:
        default = read_default(store)
    except DefaultModelError as error:
        return f"warning: {error}; a server does not start with it"
    if default:
        return f"requests that name no model are answered by {default}, as {path} says"
    return (
        f"warning: {path} names no model, so requests that name none are refused by servers that "
        "start now without --default-model: write the name of one into it"
    )


def _unnamed_default(store: Path, name: str) -> str:
    """The default model that a store has without naming it; empty where it names one, or has none.

    In an empty store it is the model that is about to come.
    """
    try:
        if not store.is_dir():
            return name
        versions = look_into(store).versions
        return "" if read_default(store) else only_model(store, versions or {name: ()})
    except DefaultModelError:
        return ""


@contextmanager
def appearing_folder(target: Path) -> Iterator[Path]:
    """A sibling folder that becomes ``target`` at the end, or vanishes.

    Those of processes that were killed, and hold no lock any more, vanish as well.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(".[0-9]*-*"):
        with suppress(BlockingIOError), _locked(left):
            shutil.rmtree(left, ignore_errors=True)
    # the leading dot keeps servers that scan the store from taking it for a version
    partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        with _locked(partial):
            yield partial
            partial.chmod(0o755)  # mkdtemp's 0700 would hide the version from others' servers
            partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Raises BlockingIOError where another process holds the lock."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


@torch.no_grad()
def _write_fingerprint(work: Path) -> list[str]:
    """Write what servers compare their numbers with; return the file's name.

    None where this CPU may round otherwise than those of servers do.
    """
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        return []
    model = load_module(work / MODEL_NAME)

    def read(tokens: Sequence[int]) -> Iterator[bytes]:
        state = model.initial_state(1)
        for token in tokens:
            scores, state = model.step(state, torch.tensor([token]))
            yield scores.numpy().tobytes()
        yield state.numpy().tobytes()

    with one_thread():
        fingerprint = take_fingerprint(model.num_tokens, read)
    write_fingerprint(work / FINGERPRINT_NAME, fingerprint)
    return [FINGERPRINT_NAME]


def check_loads(folder: Path) -> None:
    """Raise PublishError for a version that a server would not load."""
    try:
        bundle = open_bundle(folder)
        classifier = bundle.read_classifier()
        if bundle.answers is not None:
            bundle.answers.check_labels(set(classifier.labels) if classifier else set())
    except BundleError as error:
        raise PublishError(f"the version would not load: {error}") from error


def _check_size(path: Path, max_size_mb: float) -> None:
    size_mb = path.stat().st_size / BYTES_PER_MB
    if size_mb > max_size_mb:
        raise PublishError(
            f"{path} has {size_mb:.1f} MB, more than {max_size_mb:g} MB: train a smaller model, "
            "or allow it with publish.max_size_mb"
        )
