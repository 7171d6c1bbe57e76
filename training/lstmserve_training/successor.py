"""The next version of a model out of one that is there: its files, some of them others."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from lstmserve_bundle.bundle import Bundle, describe_file, open_bundle
from lstmserve_bundle.errors import BundleError
from lstmserve_bundle.manifest import write_manifest
from lstmserve_bundle.store import is_version
from lstmserve_training.describe import make_creation
from lstmserve_training.errors import DataError, MissingInputError, PublishError
from lstmserve_training.publish import appearing_folder, check_loads, next_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


def open_version(store: Path, source: str) -> Bundle:
    """Open MODEL/VERSION of a store; raises DataError, MissingInputError or PublishError."""
    name, slash, version = source.partition("/")
    if not (name and slash and is_version(version)):
        raise DataError(f"--from: must be MODEL/VERSION, such as support-en/3, not {source!r}")
    folder = store / name / version
    if not folder.is_dir():
        raise MissingInputError(f"{folder} is missing; --store names the model store")
    try:
        return open_bundle(folder)
    except BundleError as error:
        raise PublishError(str(error)) from None


def publish_successor(
    store: Path,
    bundle: Bundle,
    write: Callable[[Path], Iterable[str]],
    facts: dict[str, str],
    **changes: Any,  # noqa: ANN401 - keys of the manifest
) -> Path:
    """Write the next version and return its folder; raises PublishError where it does not load.

    ``write`` puts files into the new folder, beside or over those of the version, and returns
    their names. ``facts`` join those of the training, and ``changes`` replace keys of the manifest.
    """
    manifest = bundle.manifest
    version = next_version(store, manifest.name)
    target = store / manifest.name / str(version)
    with appearing_folder(target) as folder:
        for each in manifest.files:
            shutil.copyfile(bundle.folder / each, folder / each)
        described = {each: describe_file(folder / each) for each in write(folder)}
        training = changes.pop("training", manifest.training)
        update = {
            **changes,
            "version": version,
            "files": {**manifest.files, **described},
            "training": training.model_copy(update={"facts": {**training.facts, **facts}}),
            "created": make_creation(),
        }
        write_manifest(folder, manifest.model_copy(update=update))
        check_loads(folder)
    return target
